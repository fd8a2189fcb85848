// The path of a request: its one normal form, the patterns that routes take paths by, and the other readings that a
// lenient upstream may have of it. A path is never matched in a form that the upstream could not see it in.

/** How often a path may be percent-encoded over; nobody has an honest reason to do it so often. */
const ROUNDS_MAX = 8;

/** How many characters all readings of a path may have together: what a request may cost before it has a route. */
const READINGS_CHARACTERS_MAX = 512 * 1024;

/** A path that every upstream reads alike: no escapes, parameters, empty segments or backslashes. */
const PLAIN = /^(\/[\w.~!$&'()*+,=:@-]+)*\/?$/;

/** Liberties that some servers take with a path, besides decoding it more than once. */
const LIBERTIES: readonly ((path: string) => string)[] = [
  path => path.replace(/[\t\r\n]/g, ""),
  path => path.replace(/[\0?#].*$/s, ""),
  path => path.replaceAll("\\", "/"),
  path => path.replace(/;[^/]*/g, ""),
  path => path.replace(/\/{2,}/g, "/"),
];

/** The normal form (RFC 3986 section 6.2.2): what needs no escape has none, and escapes are in upper case. */
export function normalizePath(pathname: string): string {
  return pathname.replace(/%([0-9a-f]{2})/gi, (triplet: string, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w.~-]/.test(character) ? character : triplet.toUpperCase();
  });
}

/**
 * Every path that some upstream may take this one for, its normal form first.
 * @returns undefined for a path that was encoded over and over, or that has readings without measure.
 */
export function readPath(pathname: string): readonly string[] | undefined {
  const normal = normalizePath(pathname);
  if (PLAIN.test(normal)) return [normal];
  const readings = new Set([normal]);
  let characters = 0;
  for (let text = normal, round = 0; round <= ROUNDS_MAX; round++) {
    let forms = new Set([text]);
    for (const take of LIBERTIES) forms = new Set([...forms].flatMap(form => [form, take(form)]));
    for (const form of forms) {
      const reading = resolveDots(form);
      characters += reading.length;
      if (characters > READINGS_CHARACTERS_MAX) return undefined;
      readings.add(reading);
    }
    const decoded = decode(text);
    if (decoded === text) return [...readings];
    text = decoded;
  }
  return undefined;
}

/** Whether some upstream might take a path for one below the reserved prefix, in whatever case or width. */
export function isReserved(pathname: string, prefix: string): boolean {
  const readings = readPath(pathname);
  return readings === undefined || readings.some(reading => `${fold(reading)}/`.startsWith(fold(prefix)));
}

/** Whether a path, in its normal form, is one that a pattern stands for. */
export function matchPath(pattern: string, path: string): boolean {
  // Where the segment of the path begins that is looked at.
  let at = 0;
  for (const segment of pattern.split("/")) {
    if (at > path.length) return false;
    if (segment.endsWith("*")) return path.startsWith(segment.slice(0, -1), at);
    const slash = path.indexOf("/", at);
    const end = slash === -1 ? path.length : slash;
    const present = path.slice(at, end);
    if (segment.startsWith(":") ? present === "" : present !== segment) return false;
    at = end + 1;
  }
  return at > path.length;
}

/** Whether a pattern stands for every path that another one stands for. */
export function coversPath(pattern: string, other: string): boolean {
  return (pattern.endsWith("*") || !other.endsWith("*")) && matchPath(pattern, other);
}

/**
 * Whether a text is a pattern: a path in its normal form, in which a segment `:name` stands for any one that is not
 * empty, and a `*` at the end for whatever follows.
 */
export function isPathPattern(text: string): boolean {
  const path = text.replace(/\*$/, "");
  const names = path.match(/(?<=\/):[^/]*/g) ?? [];
  return (
    /^\/[^*?#;\\]*$/.test(path) &&
    names.every(name => /^:[a-z][a-z0-9_]*$/.test(name)) &&
    !(text.endsWith("*") && /\/:[^/]*$/.test(path)) &&
    new Set(names).size === names.length &&
    !path.includes("//") &&
    isNormal(path)
  );
}

function isNormal(path: string): boolean {
  const url = URL.parse(path, "http://pattern");
  return url !== null && url.host === "pattern" && normalizePath(url.pathname) === path;
}

function resolveDots(path: string): string {
  const rooted = path.startsWith("/") ? path : `/${path}`;
  return normalizePath(new URL(`http://path${rooted.replace(/[?#]/g, encodeURIComponent)}`).pathname);
}

/** One round of decoding, with every liberty that servers take: also escapes that are too long, of UTF-16, and wide letters. */
function decode(path: string): string {
  return path
    .replace(
      /%(?:c([01])|(?:f0%80|e0)%8([01]))%([89ab][0-9a-f])/gi,
      (_, two?: string, more?: string, low = "") =>
        String.fromCharCode((Number(two ?? more) << 6) | (Number.parseInt(low, 16) & 0x3f)),
    )
    .replace(/%u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/(?:%[0-9a-f]{2})+/gi, decodeRun)
    .normalize("NFKC");
}

function decodeRun(run: string): string {
  try {
    return decodeURIComponent(run);
  } catch {
    return run.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}

/** A form in which paths are equal that differ in case, or in dots and spaces that some file systems drop. */
function fold(path: string): string {
  return (
    decode(path)
      .toUpperCase()
      .toLowerCase()
      // Only from where a run begins: tried from each of its dots, a long one would take the square of its length.
      .replace(/(?<![. ])[. ]+(?=\/|$)/g, "")
  );
}
