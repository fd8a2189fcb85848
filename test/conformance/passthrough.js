// The baseline: what the platform itself does to an exchange that a worker only passes on.
export default {
  fetch(request, { UPSTREAM }) {
    const path = request.url.slice(new URL(request.url).origin.length);
    return fetch(new Request(`${UPSTREAM}${path}`, request));
  },
};
