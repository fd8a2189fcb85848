// The head of a request, taken from the platform once: each look at the platform's own objects costs more than most of
// what is done with what is seen there.

export interface Head {
  readonly method: string;
  /** The URL as the platform tells it; `url` is that, parsed, and null when it is none. */
  readonly target: string;
  readonly url: URL | null;
  readonly headers: Headers;
  /** All fields, as `headers` lists them. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Whether the platform has a body for it, an empty one included. */
  readonly hasBody: boolean;
}

export function readHead({ method, url: target, headers, body }: Request): Head {
  return { method, target, url: URL.parse(target), headers, fields: [...headers], hasBody: body !== null };
}
