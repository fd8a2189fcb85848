// What the receipted proxy is measured against: the least that passes an HTTP exchange through a worker.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(new Request(`${env.UPSTREAM_URL}${pathname}${search}`, request), {
      redirect: "manual",
    });
  },
};
