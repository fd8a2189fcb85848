// What an operator hands over so that private values can be read: the answers of its own interface, openings, or
// SD-JWTs with disclosures. Reading them says what they are; what they open is for the records to say.
import * as v from "valibot";
import { disclose, parseSeed } from "../receipt/disclosure.ts";
import { parseReceipt } from "../receipt/receipt.ts";
import { Undecided, undecidedIfFaulty } from "./outcome.ts";

const GivenSchema = v.object({
  jti: v.string(),
  disclosures: v.optional(v.array(v.string())),
  seed: v.optional(v.string()),
  fields: v.optional(v.record(v.string(), v.unknown())),
});

const PageSchema = v.object({ found: v.array(v.unknown()) });

/**
 * Reads a file of disclosures: the operator's answer of one exchange or of a search, a list of those, one of them a
 * line, openings with seed and fields, or SD-JWTs (`receipt~disclosure~…`), one a line.
 * @returns the disclosures by the ids of their exchanges. @throws Undecided when there are none in it.
 */
export async function readDisclosures(text: string, what: string): Promise<Map<string, string[]>> {
  const given = new Map<string, string[]>();
  for (const item of itemsOf(text.trim(), what)) {
    const [jti, disclosures] = await undecidedIfFaulty(what, () => readItem(item, what));
    given.set(jti, [...(given.get(jti) ?? []), ...disclosures]);
  }
  if (given.size > 0) return given;
  throw new Undecided(`${what}: there is no disclosure in it`, {
    expected: "answers of the operator's interface, openings, or SD-JWTs",
    found: text === "" ? "nothing: it is empty" : "an empty list",
  });
}

function itemsOf(text: string, what: string): unknown[] {
  if (text.startsWith("eyJ")) return text.split(/\s+/);
  const whole = parseJson(text);
  if (whole !== undefined) return [whole].flat().flatMap(flatten);
  return text
    .split("\n")
    .filter(line => line.trim() !== "")
    .flatMap((line, i) => {
      const item = parseJson(line);
      if (item !== undefined) return flatten(item);
      throw new Undecided(`${what}: line ${i + 1} is neither JSON nor an SD-JWT`, {
        expected: "answers of the operator's interface, openings, or SD-JWTs",
        found: line,
      });
    });
}

/** The parts of a search's answer, or the thing itself. */
function flatten(item: unknown): unknown[] {
  return v.is(PageSchema, item) ? item.found : [item];
}

/** What a text is as JSON; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readItem(item: unknown, what: string): readonly [jti: string, disclosures: string[]] {
  if (typeof item === "string") {
    const { receipt, disclosures } = splitPresentation(item, what);
    return [parseReceipt(receipt).entry.record.jti, disclosures];
  }
  if (v.is(GivenSchema, item)) {
    const { jti, disclosures, seed, fields } = item;
    if (disclosures !== undefined) return [jti, disclosures];
    if (seed !== undefined && fields !== undefined) {
      const bytes = parseSeed(seed);
      return [jti, Object.entries(fields).map(([name, value]) => disclose(bytes, name, value))];
    }
  }
  throw new Undecided(`${what}: something in it is no disclosure`, {
    expected: "jti with disclosures, or with seed and fields",
    found: JSON.stringify(item),
  });
}

/** The parts of an SD-JWT (RFC 9901 section 4): a receipt, and the disclosures behind it. @throws Undecided */
export function splitPresentation(text: string, what: string): { receipt: string; disclosures: string[] } {
  const [receipt, ...rest] = text.trim().split("~");
  if (rest.at(-1) === "" && receipt !== undefined && receipt !== "") {
    return { receipt, disclosures: rest.slice(0, -1) };
  }
  throw new Undecided(`${what}: this is no SD-JWT, or it is cut off`, {
    expected: "a receipt, and each disclosure between two tildes",
    found: text,
  });
}
