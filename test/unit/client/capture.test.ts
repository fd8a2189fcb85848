// What is taken from a response as curl prints it, in all the forms that curl prints.
import { beforeAll, describe, expect, test } from "vitest";
import { type Capture, readCapture } from "../../../src/client/capture.ts";
import { createWorld } from "../../world.ts";

const encoder = new TextEncoder();
const read = (text: string) => readCapture(encoder.encode(text), "it");
const textOf = ({ body }: Capture) => body && new TextDecoder().decode(body);

let receipt: string;
let fields: string;

beforeAll(async () => {
  receipt = (await (await createWorld()).append({}))[0]!;
  fields = `Content-Type: text/plain\r\naudit-receipt: ${receipt}\r\nAudit-Receipt-Seed: AAECAwQFBgcICQoLDA0ODw\r\n`;
});

describe("fields of a response", () => {
  test("give receipt and seed, without the rest of it", async () => {
    const capture = await read(`link: <x>; rel="audit-receipt"\r\n${fields}`);
    expect(capture).toEqual({ kind: "receipt", receipt, seed: Uint8Array.from({ length: 16 }, (_, i) => i) });
    expect(await read(`Audit-Receipt: ${receipt}`)).toEqual({ kind: "receipt", receipt });
  });

  test("are none when one line is no field, or the receipt is cut off", async () => {
    await expect(read(`Audit-Receipt: ${receipt}\nhello`)).rejects.toThrow("no header field");
    await expect(read(`Audit-Receipt: ${receipt.slice(0, -5)}`)).rejects.toThrow("cut off");
  });
});

describe("a response as curl prints it", () => {
  test("gives receipt, seed, status and body", async () => {
    const capture = await read(`HTTP/1.1 201 Created\r\n${fields}\r\nhello\r\n`);
    expect(capture).toMatchObject({ kind: "response", receipt, status: 201 });
    expect(capture.seed).toEqual(Uint8Array.from({ length: 16 }, (_, i) => i));
    expect(textOf(capture)).toBe("hello\r\n");
  });

  test("may be of HTTP/2, which has no reason phrase", async () => {
    expect(await read(`HTTP/2 204 \r\n${fields}\r\n`)).toMatchObject({ receipt, status: 204 });
  });

  test("may have lost its carriage returns", async () => {
    const capture = await read(`HTTP/1.1 200 OK\n${fields.replaceAll("\r", "")}\nhello`);
    expect([capture.status, textOf(capture)]).toEqual([200, "hello"]);
  });

  test.each([
    ["an interim response", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"],
    ["the answer of a proxy to CONNECT", "HTTP/1.1 200 Connection established\r\n\r\n"],
    ["a redirect that was followed", "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"],
  ])("may come after %s", async (_, before) => {
    const capture = await read(`${before}HTTP/1.1 200 OK\r\n${fields}\r\nhello`);
    expect([capture.receipt, capture.status, textOf(capture)]).toEqual([receipt, 200, "hello"]);
  });

  test("is not told from the body of a redirect that has a receipt of its own", async () => {
    const redirect = "HTTP/1.1 302 Found\r\nAudit-Receipt: x\r\n\r\n";
    await expect(read(`${redirect}HTTP/1.1 200 OK\r\n${fields}\r\nhello`)).rejects.toThrow(
      "a redirect with a receipt",
    );
  });

  test("may have a body that looks like a response", async () => {
    const body = "HTTP/1.1 500 No\r\n\r\n";
    const capture = await read(`HTTP/1.1 200 OK\r\n${fields}\r\n${body}`);
    expect([capture.status, textOf(capture)]).toEqual([200, body]);
  });

  test("has no body when none was captured, and an empty one when that is its length", async () => {
    expect((await read(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 5\r\n\r\n`)).body).toBeUndefined();
    expect((await read(`HTTP/1.1 200 OK\r\n${fields}\r\n`)).body).toBeUndefined();
    expect((await read(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`)).body).toEqual(
      new Uint8Array(),
    );
  });

  test("keeps a body's bytes, whatever they are, and however long they are", async () => {
    const body = Uint8Array.from({ length: 512 }, (_, i) => i % 256);
    const head = encoder.encode(`HTTP/1.1 200 OK\r\n${fields}Content-Length: 500\r\n\r\n`);
    const capture = await readCapture(new Uint8Array([...head, ...body]), "it");
    expect(capture.body).toEqual(body);
  });

  test.each([
    ["a body that is cut off", () => `HTTP/1.1 200 OK\r\n${fields}Content-Length: 6\r\n\r\nhello`],
    ["a receipt that is cut off", () => `HTTP/1.1 200 OK\r\nAudit-Receipt: ${receipt.slice(0, -1)}\r\n\r\n`],
    ["two receipts", () => `HTTP/1.1 200 OK\r\n${fields}${fields}\r\n`],
    [
      "a seed that is none",
      () => `HTTP/1.1 200 OK\r\nAudit-Receipt: ${receipt}\r\nAudit-Receipt-Seed: ?\r\n\r\n`,
    ],
    ["a line that is no field", () => `HTTP/1.1 200 OK\r\n${fields}what\r\n\r\n`],
    ["a head without an end", () => `HTTP/1.1 200 OK\r\n${fields}`],
    ["no receipt", () => "HTTP/1.1 200 OK\r\nX: \u0000\u00ff\r\n\r\n"],
  ])("is undecided with %s", async (_, text) => {
    await expect(read(text())).rejects.toMatchObject({
      name: "Undecided",
      message: expect.stringMatching(/^it: /),
    });
  });
});
