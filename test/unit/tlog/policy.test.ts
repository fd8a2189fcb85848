import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ED25519,
  ED25519_COSIGNATURE,
  formatVerifierKey,
  ML_DSA_44_COSIGNATURE,
  makeNoteKey,
  type NoteKey,
} from "../../../src/tlog/note.ts";
import { meetsQuorum, parsePolicy } from "../../../src/tlog/policy.ts";
import { faultOf, makeSigner, seeded, utf8 } from "./samples.ts";

const log = makeSigner("example.com/log", ED25519, 1).key;
const keys = new Map(
  ["X1", "X2", "X3", "Y1", "Y2", "Y3"].map((name, i) => [
    name,
    makeSigner(`${name.toLowerCase()}.example`, ED25519_COSIGNATURE, 10 + i).key,
  ]),
);
const vkey = (name: string) => formatVerifierKey(keys.get(name)!);
const witnessLines = [...keys.keys()].map(name => `witness ${name} ${vkey(name)}\n`).join("");

// The shape of the example of tlog-policy.
const EXAMPLE = `log ${formatVerifierKey(log)}

${witnessLines}group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

function cosigners(...names: string[]): NoteKey[] {
  return names.map(name => keys.get(name)!);
}

describe("reading a policy", () => {
  test("the example of tlog-policy is read", () => {
    const policy = parsePolicy(EXAMPLE);
    expect(policy.logs).toEqual([{ key: log }]);
    expect(policy.witnesses).toEqual([...keys].map(([name, key]) => ({ name, key })));
    expect(policy.groups).toEqual([
      { name: "X-witnesses", threshold: 2, members: ["X1", "X2", "X3"] },
      { name: "Y-witnesses", threshold: 1, members: ["Y1", "Y2", "Y3"] },
      { name: "X-and-Y", threshold: 2, members: ["X-witnesses", "Y-witnesses"] },
    ]);
    expect(policy.quorum).toBe("X-and-Y");
  });

  test("only the quorum line is needed", () => {
    expect(parsePolicy("quorum none\n")).toEqual({ logs: [], witnesses: [], groups: [], quorum: "none" });
  });

  test("spaces, tabs, empty lines and comments are free, and URLs are kept", () => {
    const policy = parsePolicy(
      ` # comment \u00e9\n\n \t \n\tlog \t ${formatVerifierKey(log)} https://example.com/\u00e9 \t\nwitness X1 ${vkey("X1")} u\nquorum\tX1 \n#`.concat(
        "\n",
      ),
    );
    expect(policy.logs).toEqual([{ key: log, url: "https://example.com/é" }]);
    expect(policy.witnesses).toEqual([{ name: "X1", key: keys.get("X1"), url: "u" }]);
    expect(policy.quorum).toBe("X1");
  });

  test("names are opaque: a no-break space is not a space, and look-alikes differ", () => {
    const policy = parsePolicy(
      `witness K\u00a0K ${vkey("X1")}\nwitness \u212a ${vkey("X2")}\nwitness K ${vkey("X3")}\nquorum \u212a\n`,
    );
    expect(policy.witnesses.map(({ name }) => name)).toEqual(["K\u00a0K", "\u212a", "K"]);
    expect(meetsQuorum(policy, cosigners("X3"))).toBe(false);
    expect(meetsQuorum(policy, cosigners("X2"))).toBe(true);
  });

  test("bytes are read like text, and bytes that are not UTF-8 are names that stay apart", () => {
    expect(parsePolicy(utf8(EXAMPLE))).toEqual(parsePolicy(EXAMPLE));
    const line = (name: number, key: string) => [...utf8("witness "), name, ...utf8(` ${key}\n`)];
    const file = [...line(0x80, vkey("X1")), ...line(0xff, vkey("X2")), ...utf8("quorum "), 0xff, 0x0a];
    const policy = parsePolicy(Uint8Array.from(file));
    expect(meetsQuorum(policy, cosigners("X1"))).toBe(false);
    expect(meetsQuorum(policy, cosigners("X2"))).toBe(true);
  });

  test("logs may have keys of any type, witnesses only such as cosign", () => {
    const mlDsa = formatVerifierKey(makeNoteKey("m", ML_DSA_44_COSIGNATURE, new Uint8Array(1312)));
    expect(parsePolicy(`log ${mlDsa}\nwitness m ${mlDsa}\nquorum m\n`).witnesses).toHaveLength(1);
    const fault = faultOf(() => parsePolicy(`quorum none\nwitness w ${formatVerifierKey(log)}\n`));
    expect(fault.code).toBe("unsupported");
    expect(fault.message).toContain("line 2");
  });

  const one = `witness X1 ${vkey("X1")}\nwitness X2 ${vkey("X2")}\n`;
  test.each([
    ["nothing", ""],
    ["no quorum", one],
    ["two quorums", "quorum none\nquorum none\n"],
    ["a quorum without a name", "quorum\n"],
    ["a quorum of two names", `${one}quorum X1 X2\n`],
    ["a quorum that is not defined", "quorum nobody\n"],
    ["a quorum that is defined below", `quorum X1\n${one}`],
    ["a last line that does not end", "quorum none"],
    ["an unknown line", "quorum none\npolicy none\n"],
    ["a keyword in capitals", "Quorum none\n"],
    ["a log without a key", "log\nquorum none\n"],
    ["a log with a broken key", "log nonsense\nquorum none\n"],
    ["a log with too many items", `log ${formatVerifierKey(log)} u v\nquorum none\n`],
    ["the same log key twice", `log ${formatVerifierKey(log)}\nlog ${formatVerifierKey(log)}\nquorum none\n`],
    ["a witness without a key", "witness X1\nquorum none\n"],
    ["a witness with too many items", `witness X1 ${vkey("X1")} u v\nquorum none\n`],
    ["a witness named none", `witness none ${vkey("X1")}\nquorum none\n`],
    ["two witnesses of one name", `witness X1 ${vkey("X1")}\nwitness X1 ${vkey("X2")}\nquorum none\n`],
    ["one witness key under two names", `witness X1 ${vkey("X1")}\nwitness X2 ${vkey("X1")}\nquorum none\n`],
    ["a group without members", `${one}group g any\nquorum none\n`],
    ["a group named none", `${one}group none any X1\nquorum none\n`],
    ["a group named like a witness", `${one}group X2 any X1\nquorum none\n`],
    ["a group with itself in it", `${one}group g any g\nquorum none\n`],
    ["a group with a member that is not defined", `${one}group g any X1 X9\nquorum none\n`],
    ["a group with none in it", `${one}group g any none\nquorum none\n`],
    ["a group with a member twice", `${one}group g 2 X1 X1\nquorum g\n`],
    ["a member of two groups", `${one}group g any X1\ngroup h any X1 X2\nquorum h\n`],
    ["a threshold of 0", `${one}group g 0 X1 X2\nquorum g\n`],
    ["a threshold of more than all", `${one}group g 3 X1 X2\nquorum g\n`],
    ["a threshold with a leading zero", `${one}group g 01 X1 X2\nquorum g\n`],
    ["a threshold that is no number", `${one}group g most X1 X2\nquorum g\n`],
    ["a threshold in another notation", `${one}group g 1e0 X1 X2\nquorum g\n`],
    ["a carriage return", "quorum none\r\n"],
    ["a control character in a comment", "#\u0007\nquorum none\n"],
    ["a delete character in a comment", "#\u007f\nquorum none\n"],
    ["half a surrogate pair", "#\ud800\nquorum none\n"],
  ])("a policy with %s is malformed", (_, policy) => {
    expect(faultOf(() => parsePolicy(policy)).code).toBe("malformed");
  });

  test("the same public key under another name and type is a duplicate", () => {
    const { publicKey } = keys.get("X1")!;
    const alias = formatVerifierKey(makeNoteKey("alias", ED25519, publicKey));
    const policy = `log ${alias}\nlog ${formatVerifierKey(makeNoteKey("alias2", ED25519_COSIGNATURE, publicKey))}\nquorum none\n`;
    expect(faultOf(() => parsePolicy(policy)).code).toBe("malformed");
    // A log and a witness are two kinds of lines, which may share a key.
    expect(parsePolicy(`log ${alias}\nwitness w ${vkey("X1")}\nquorum w\n`).logs).toHaveLength(1);
  });

  test("the Fault names the line, whatever is wrong with it", () => {
    for (const bad of ["quorum nobody", "log nonsense", "group g any", "witness none x", "?"]) {
      expect(faultOf(() => parsePolicy(`# a comment\n\n${bad}\n`)).message).toContain("line 3");
    }
  });

  test("a policy cut off anywhere is not a weaker policy", () => {
    for (let length = 0; length < EXAMPLE.length; length++) {
      expect(faultOf(() => parsePolicy(EXAMPLE.slice(0, length))).code).toBe("malformed");
    }
  });

  test("many lines are read, and more than 1 MiB is too large", () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => `group g${i + 1} all g${i}\n`);
    const policy = parsePolicy(`witness g0 ${vkey("X1")}\n${chain.join("")}quorum g20000\n`);
    expect(meetsQuorum(policy, cosigners("X1"))).toBe(true);
    expect(meetsQuorum(policy, [])).toBe(false);
    expect(faultOf(() => parsePolicy(`#${"x".repeat(2 ** 20)}\nquorum none\n`)).code).toBe("too-large");
  });
});

describe("the quorum", () => {
  test("none is met by nobody", () => {
    expect(meetsQuorum(parsePolicy("quorum none\n"), [])).toBe(true);
  });

  test("a single witness is met by that witness only", () => {
    const policy = parsePolicy(`${witnessLines}quorum X1\n`);
    expect(meetsQuorum(policy, cosigners("X1"))).toBe(true);
    expect(meetsQuorum(policy, cosigners("X2", "X3", "Y1", "Y2", "Y3"))).toBe(false);
    expect(meetsQuorum(policy, [])).toBe(false);
  });

  test("of the example, two of X and one of Y are needed", () => {
    const policy = parsePolicy(EXAMPLE);
    expect(meetsQuorum(policy, cosigners("X1", "X3", "Y2"))).toBe(true);
    expect(meetsQuorum(policy, cosigners("X1", "X2", "X3", "Y1", "Y2", "Y3"))).toBe(true);
    expect(meetsQuorum(policy, cosigners("X1", "X2", "X3"))).toBe(false);
    expect(meetsQuorum(policy, cosigners("X1", "Y1", "Y2", "Y3"))).toBe(false);
    expect(meetsQuorum(policy, cosigners("X1", "X1", "Y1"))).toBe(false);
  });

  test("a key that only shares name and id with a witness's does not count", () => {
    const policy = parsePolicy(`${witnessLines}quorum X1\n`);
    const forged = { ...keys.get("X1")!, publicKey: keys.get("X2")!.publicKey };
    expect(meetsQuorum(policy, [forged])).toBe(false);
  });

  test("k of n is met exactly when k or more have cosigned", () => {
    const names = [...keys.keys()];
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.subarray(names), (k, cosigned) => {
        const policy = parsePolicy(`${witnessLines}group g ${k} ${names.join(" ")}\nquorum g\n`);
        expect(meetsQuorum(policy, cosigners(...cosigned))).toBe(cosigned.length >= k);
      }),
      seeded,
    );
  });
});
