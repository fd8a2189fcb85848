// The key set of a state folder: made once, whole or not there, never replaced.
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hashToken, makeSigningKey, openKeySet, openOperatorToken } from "../../src/hosts/keys.ts";
import { importSigningKey } from "../../src/receipt/key.ts";

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "counterfoil-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("many that open a new folder at once get one and the same key set", async () => {
  const folder = await makeFolder();
  const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => openKeySet(folder)));
  for (const other of others) expect(other).toEqual(first);
  expect(await openKeySet(folder)).toEqual(first);
  expect((await readdir(folder)).sort()).toEqual(["operator-token", "secrets.json"]);
});

test("the worker knows the operator's token by its SHA-256 alone", async () => {
  const folder = await makeFolder();
  const token = await openOperatorToken(folder);
  expect(Buffer.from(token, "base64url").length).toBe(32);
  expect((await openKeySet(folder)).OPERATOR_TOKEN_SHA256).toBe(hashToken(token));
  expect(hashToken("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("a signing key is named by its thumbprint", async () => {
  const text = await makeSigningKey();
  const { kid } = await importSigningKey(text, "key");
  expect(JSON.parse(text)).toEqual({
    kty: "OKP",
    crv: "Ed25519",
    alg: "Ed25519",
    d: expect.stringMatching(/^[\w-]{43}$/),
    x: expect.stringMatching(/^[\w-]{43}$/),
    kid,
  });
});

test.each([
  ["cut off", '{"RECEIPT_KEY":'],
  ["without keys", "{}"],
  ["of nothing", "null"],
  ["with a key that is none", '{"RECEIPT_KEY":"a","CHECKPOINT_KEY":"b","ANCHOR_KEY":"c"}'],
])("a file %s is refused by its name", async (_what, text) => {
  const folder = await makeFolder();
  const path = join(folder, "secrets.json");
  await writeFile(path, text, { mode: 0o600 });
  await expect(openKeySet(folder)).rejects.toThrow(path);
});

test.each(["secrets.json", "operator-token"])("%s is refused while others may read it", async name => {
  const folder = await makeFolder();
  const keys = await openKeySet(folder);
  await chmod(join(folder, name), 0o640);
  await expect(openKeySet(folder)).rejects.toThrow(`${name} can be read by others than its owner: chmod go=`);
  await chmod(join(folder, name), 0o600);
  expect(await openKeySet(folder)).toEqual(keys);
});
