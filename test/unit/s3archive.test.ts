// The archive in an S3 bucket: conditional writes, their refusal where a service ignores them, and the spool.
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { putImmutable } from "../../durable/archive.ts";
import { S3Archive } from "../../durable/s3archive.ts";
import { S3 } from "../s3.ts";

const KEY = "main/tile/0/000";

let s3: S3;
let archive: S3Archive;

beforeEach(async () => {
  s3 = new S3();
  onTestFinished(await s3.start());
  archive = new S3Archive({
    url: s3.url,
    region: "eu-central-1",
    accessKeyId: "AK",
    secretAccessKey: "SK",
    fetch: request => fetch(request),
  });
});

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = async (key: string) => {
  const found = await archive.get(key);
  return found && new TextDecoder().decode(found.bytes);
};
const putsOf = (key: string) => s3.versions.filter(version => version.key === key).length;

describe("an archive in an S3 bucket", () => {
  it("puts an object once", async () => {
    expect(await archive.get(KEY)).toBeUndefined();
    expect(await archive.putIfAbsent(KEY, bytesOf("first"))).toBe(true);
    expect(await archive.putIfAbsent(KEY, bytesOf("second"))).toBe(false);
    expect(await textOf(KEY)).toBe("first");
    expect(putsOf(KEY)).toBe(1);
    await expect(putImmutable(archive, KEY, bytesOf("second"))).rejects.toMatchObject({ code: "tampered" });
  });

  it("lets one of many win that put at once", async () => {
    const puts = Array.from({ length: 10 }, (_, n) => archive.putIfAbsent(KEY, bytesOf(`${n}`)));
    expect((await Promise.all(puts)).filter(Boolean)).toHaveLength(1);
    expect(putsOf(KEY)).toBe(1);
  });

  it("replaces an object that is still of the version that was read", async () => {
    const key = "main/checkpoint";
    expect(await archive.replace(key, bytesOf("1"), '"none"')).toBe(false);
    await archive.putIfAbsent(key, bytesOf("1"));
    const { version } = (await archive.get(key))!;
    expect(await archive.replace(key, bytesOf("2"), version)).toBe(true);
    expect(await archive.replace(key, bytesOf("3"), version)).toBe(false);
    expect(await textOf(key)).toBe("2");
  });

  it("deletes what is there and what is not", async () => {
    const keys = Array.from({ length: 12 }, (_, n) => `main/tile/0/000.p/${n + 1}`);
    for (const key of keys) await archive.putIfAbsent(key, bytesOf(key));
    await archive.delete([...keys, "main/tile/9/000"]);
    for (const key of keys) expect(await archive.get(key)).toBeUndefined();
    expect(await archive.putIfAbsent(keys[0]!, bytesOf("again"))).toBe(true);
  });

  it("writes nothing where the service ignores conditions", async () => {
    s3.honoursConditions = false;
    await expect(archive.putIfAbsent(KEY, bytesOf("first"))).rejects.toThrow("ignores if-none-match");
    await expect(archive.replace(KEY, bytesOf("first"), '"1"')).rejects.toThrow("ignores if-none-match");
    expect(putsOf(KEY)).toBe(0);
  });

  it("says what the service said that refuses", async () => {
    s3.trouble = 403;
    const calls = [
      () => archive.get(KEY),
      () => archive.putIfAbsent(KEY, bytesOf("first")),
      () => archive.delete([KEY]),
      () => archive.list("spool/", 1),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow("answered with status 403, AccessDenied");
    s3.trouble = undefined;
    expect(await archive.putIfAbsent(KEY, bytesOf("first"))).toBe(true);
  });
});

describe("a spool in an S3 bucket", () => {
  it("lists the first keys below a prefix, over as many pages as they take", async () => {
    const keys = Array.from({ length: 7 }, (_, n) => `spool/main/${n}.complete`);
    for (const key of [...keys, "spool/other/0"]) await archive.putIfAbsent(key, bytesOf(key));
    expect(await archive.list("spool/main/", 100)).toEqual(keys);
    expect(await archive.list("spool/main/", 3)).toEqual(keys.slice(0, 3));
    expect(await archive.list("spool/none/", 3)).toEqual([]);
  });

  it("reads no more of an object than was asked for", async () => {
    await archive.putIfAbsent("spool/main/0", bytesOf("0123456789"));
    await archive.putIfAbsent("spool/main/1", bytesOf(""));
    expect(await archive.read("spool/main/0", 4)).toEqual(bytesOf("0123"));
    expect(await archive.read("spool/main/0", 40)).toEqual(bytesOf("0123456789"));
    expect(await archive.read("spool/main/1", 4)).toEqual(bytesOf(""));
    expect(await archive.read("spool/main/2", 4)).toBeUndefined();
  });

  it("takes the keys that others have put as they are, and never one for another", async () => {
    const odd = ["spool/main/a b+c%2f?d#e&f", "spool/main/äöü(1)!'*"];
    for (const key of odd) await archive.putIfAbsent(key, bytesOf(key));
    s3.put("spool/main/../../main/checkpoint", Buffer.from("not to be had under another's name"));
    expect(await archive.list("spool/main/", 10)).toEqual(odd);
    for (const key of odd) expect(await textOf(key)).toBe(key);
    await expect(archive.delete(["spool/main/../../main/checkpoint"])).rejects.toThrow("no URL names");
  });
});
