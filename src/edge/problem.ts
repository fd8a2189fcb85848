// Problems: every error that the edge answers itself is RFC 9457 problem+json.

/** @param detail what was wrong, where, and what was expected; for people. */
export function problem(
  status: number,
  title: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(`${JSON.stringify({ title, status, detail }, null, 2)}\n`, {
    status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...headers },
  });
}
