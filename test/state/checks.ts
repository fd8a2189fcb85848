// What the stores of a state folder must do on every runtime, as functions that throw: Node's test runner is not
// everywhere. Each gets an empty folder of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { putImmutable } from "../../durable/archive.ts";
import { Spool } from "../../durable/spool.ts";
import { makeFolders } from "../../src/hosts/disk.ts";
import { Folder, openFolder } from "../../src/hosts/folder.ts";
import { openSqlite } from "../../src/hosts/sqlite.ts";
import { openState } from "../../src/hosts/state.ts";

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);
const textOf = (found: { bytes: Uint8Array } | undefined) => found && new TextDecoder().decode(found.bytes);

export const CHECKS: Readonly<Record<string, (scratch: string) => void | Promise<void>>> = {
  async "a folder is made with those above it, or it is said why not"(scratch) {
    const path = join(scratch, "one/two/three");
    assert.equal(await makeFolders(path, 0o700), join(scratch, "one"));
    assert.equal(await makeFolders(path, 0o700), undefined);
    for (const made of ["one", "one/two", "one/two/three"]) {
      assert.equal(statSync(join(scratch, made)).mode & 0o777, 0o700);
    }
    writeFileSync(join(scratch, "file"), "");
    symlinkSync("nowhere", join(scratch, "link"));
    // In /proc a folder is there, and yet none can be made.
    for (const bad of [
      ...["file", "file/x", "link", "link/x"].map(name => join(scratch, name)),
      "/proc/x/y",
    ]) {
      await assert.rejects(makeFolders(bad, 0o700), /^Error: \/.*: the folder cannot be made: E\w+:/, bad);
    }
    await assert.rejects(openState("/proc/x"), /^Error: \/proc\/x: the folder cannot be made: ENOENT/);
  },

  async "a folder gives back what was put, and nothing for what was not"(scratch) {
    const folder = await openFolder(scratch);
    assert.equal(await folder.putIfAbsent("main/tile/0/x001/067.p/12", bytes("hashes")), true);
    assert.equal(textOf(await folder.get("main/tile/0/x001/067.p/12")), "hashes");
    assert.equal(readFileSync(join(scratch, "main/tile/0/x001/067.p/12"), "utf8"), "hashes");
    for (const missing of ["main/tile/0/x001/067", "main/tile/0/x001/067.p/12/13", "other"]) {
      assert.equal(await folder.get(missing), undefined, missing);
    }
    assert.equal(await folder.putIfAbsent("empty", new Uint8Array()), true);
    assert.equal(textOf(await folder.get("empty")), "");
    assert.deepEqual(await folder.read("main/tile/0/x001/067.p/12", 3), bytes("has"));
    assert.deepEqual(await folder.read("main/tile/0/x001/067.p/12", 100), bytes("hashes"));
  },

  async "a folder keeps the first of what is put, of many that put at once as well"(scratch) {
    const [one, other] = [await openFolder(scratch), new Folder(scratch)];
    const put = Array.from({ length: 40 }, (_, i) =>
      (i % 2 ? one : other).putIfAbsent("deep/er/key", bytes(`writer ${i}`)),
    );
    const outcomes = await Promise.all(put);
    assert.equal(outcomes.filter(isNew => isNew).length, 1);
    assert.equal(textOf(await one.get("deep/er/key")), `writer ${outcomes.indexOf(true)}`);
    assert.equal(await one.putIfAbsent("deep/er/key", bytes("late")), false);
    await assert.rejects(putImmutable(one, "deep/er/key", bytes("late")), /already holds other bytes/);
    assert.deepEqual(readdirSync(join(scratch, ".drafts")), []);
    assert.equal(statSync(join(scratch, "deep/er/key")).mode & 0o777, 0o400);
    assert.equal(statSync(join(scratch, "deep/er")).mode & 0o777, 0o700);
  },

  async "a folder replaces an object only under its version, of many that replace at once as well"(scratch) {
    const folder = await openFolder(scratch);
    assert.equal(await folder.replace("main/checkpoint", bytes("1"), "any"), false);
    assert.equal(existsSync(join(scratch, "main")), false);
    await folder.putIfAbsent("main/checkpoint", bytes("1"));
    const { version } = (await folder.get("main/checkpoint"))!;
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => folder.replace("main/checkpoint", bytes(`2 by ${i}`), version)),
    );
    assert.equal(outcomes.filter(replaced => replaced).length, 1);
    assert.equal(textOf(await folder.get("main/checkpoint")), `2 by ${outcomes.indexOf(true)}`);
    assert.equal(await folder.replace("main/checkpoint", bytes("3"), version), false);
    assert.deepEqual(readdirSync(join(scratch, ".drafts")), []);
  },

  async "a folder deletes what is there, and the folders that are empty by that"(scratch) {
    const folder = await openFolder(scratch);
    await folder.putIfAbsent("a/b.p/1", bytes("1"));
    await folder.putIfAbsent("a/b.p/2", bytes("2"));
    await folder.delete(["a/b.p/1", "a/c/3", "no"]);
    assert.deepEqual(readdirSync(join(scratch, "a/b.p")), ["2"]);
    await folder.delete(["a/b.p/2"]);
    assert.deepEqual(readdirSync(join(scratch, "a")), []);
    assert.equal(await folder.putIfAbsent("a/b.p/1", bytes("again")), true);
    assert.equal(textOf(await folder.get("a/b.p/1")), "again");
  },

  async "a folder takes what is put into a folder that goes at the same time"(scratch) {
    const folder = await openFolder(scratch);
    const turn = async (i: number) => {
      const key = `spool/main/${i}`;
      assert.equal(await folder.putIfAbsent(key, bytes(key)), true);
      assert.equal(textOf(await folder.get(key)), key);
      await folder.delete([key]);
    };
    await Promise.all(
      [1, 2, 3, 4].map(async n => {
        for (let i = 0; i < 25; i++) await turn(100 * n + i);
      }),
    );
    assert.deepEqual(await folder.list("spool/", 10), []);
  },

  async "a folder lists the first keys below a prefix in the order of keys"(scratch) {
    const folder = await openFolder(scratch);
    const keys = ["a-b", "a.b", "a/c", "a/d/e", "a/d0", "a0", "b/1", "spool/main/2", "spool/main/10", "z"];
    for (const key of keys.toReversed()) await folder.putIfAbsent(key, bytes(key));
    mkdirSync(join(scratch, "a/bare"));
    const sorted = keys.toSorted();
    for (const prefix of ["", "a", "a/", "a/d", "a/d/", "a/d/e", "spool/main/", "spool/m", "none/x", "q"]) {
      for (const count of [1, 2, 3, 100]) {
        const expected = sorted.filter(key => key.startsWith(prefix)).slice(0, count);
        assert.deepEqual(await folder.list(prefix, count), expected, `${prefix} ${count}`);
      }
    }
  },

  async "whatever can lie in a spool that is a folder can be set aside there"(scratch) {
    const folder = await openFolder(scratch);
    mkdirSync(join(scratch, "spool/main"), { recursive: true });
    writeFileSync(join(scratch, "spool/main", "x".repeat(255)), "no promise");
    const append = async () => assert.fail("there is nothing to append");
    const origin = "example.com/main";
    const spool = new Spool({
      store: folder,
      name: "main",
      origin,
      keys: [],
      now: Date.now,
      append,
      report: () => {},
    });
    assert.equal(await spool.drain(), false);
    assert.deepEqual([spool.state.refused, spool.state.trouble], [1, undefined]);
  },

  async "a folder of very many names is listed a few at a time"(scratch) {
    const folder = await openFolder(scratch);
    mkdirSync(join(scratch, "spool/main"), { recursive: true });
    const name = (i: number) => `spool/main/${String((i * 7919) % 5003).padStart(5, "0")}`;
    writeFileSync(join(scratch, name(0)), "");
    for (let i = 1; i < 5003; i++) linkSync(join(scratch, name(0)), join(scratch, name(i)));
    const expected = Array.from({ length: 250 }, (_, i) => `spool/main/${String(i).padStart(5, "0")}`);
    assert.deepEqual(await folder.list("spool/main/", 250), expected);
  },

  async "nothing outside a folder can be named"(scratch) {
    mkdirSync(join(scratch, "in"));
    writeFileSync(join(scratch, "secret"), "secret");
    const folder = await openFolder(join(scratch, "in"));
    const keys = [
      "../secret",
      "a/../../secret",
      "/etc/passwd",
      "a//b",
      "a/",
      "",
      ".",
      "./a",
      "a/./b",
      "a\0b",
    ];
    keys.push("a\\b", "a b", "ä", ".drafts/x", "x".repeat(256), `${"x/".repeat(512)}x`);
    for (const key of keys) {
      await assert.rejects(folder.get(key), /expected a path/, key);
      await assert.rejects(folder.putIfAbsent(key, bytes("x")), /expected a path/, key);
      await assert.rejects(folder.replace(key, bytes("x"), "v"), /expected a path/, key);
      await assert.rejects(folder.delete([key]), /expected a path/, key);
    }
    await assert.rejects(folder.list("../", 10), /expected a path/);
    assert.equal(readFileSync(join(scratch, "secret"), "utf8"), "secret");
  },

  async "no symbolic link leads out of a folder"(scratch) {
    mkdirSync(join(scratch, "in"));
    mkdirSync(join(scratch, "out"));
    writeFileSync(join(scratch, "out/secret"), "secret");
    const folder = await openFolder(join(scratch, "in"));
    symlinkSync(join(scratch, "out"), join(scratch, "in/link"));
    symlinkSync(join(scratch, "out/secret"), join(scratch, "in/file"));
    await assert.rejects(folder.get("link/secret"), /symbolic link/);
    await assert.rejects(folder.get("file"));
    await assert.rejects(folder.putIfAbsent("link/new", bytes("x")), /in the place of a folder/);
    await assert.rejects(folder.delete(["link/secret"]), /symbolic link/);
    await assert.rejects(folder.list("link/", 10), /symbolic link/);
    assert.deepEqual(await folder.list("", 10), []);
    assert.deepEqual(readdirSync(join(scratch, "out")), ["secret"]);
    // The folder itself may be on another disk.
    symlinkSync(join(scratch, "out"), join(scratch, "elsewhere"));
    assert.equal(await (await openFolder(join(scratch, "elsewhere"))).putIfAbsent("a/b", bytes("x")), true);
    assert.equal(readFileSync(join(scratch, "out/a/b"), "utf8"), "x");
  },

  async "what is no file is no object"(scratch) {
    const folder = await openFolder(scratch);
    mkdirSync(join(scratch, "dir"));
    assert.equal(spawnSync("mkfifo", [join(scratch, "pipe")]).status, 0);
    await assert.rejects(folder.get("dir"), /dir: is not a file/);
    await assert.rejects(folder.get("pipe"), /pipe: is not a file/);
    await assert.rejects(putImmutable(folder, "dir", bytes("x")), /dir: is not a file/);
    assert.deepEqual(await folder.list("", 10), []);
  },

  async "what a process left behind that ended while it wrote goes when the folder is opened"(scratch) {
    const folder = await openFolder(scratch);
    await folder.putIfAbsent("kept", bytes("kept"));
    writeFileSync(join(scratch, ".drafts/half"), "hal");
    const again = await openFolder(scratch);
    assert.deepEqual(readdirSync(join(scratch, ".drafts")), []);
    assert.equal(textOf(await again.get("kept")), "kept");
  },

  async "errors name the path"(scratch) {
    writeFileSync(join(scratch, "file"), "");
    await assert.rejects(openFolder(join(scratch, "file/in")), /file/);
    const folder = await openFolder(join(scratch, "folder"));
    await folder.putIfAbsent("a", bytes("a"));
    await assert.rejects(folder.putIfAbsent("a/b", bytes("b")), new RegExp(`${scratch}/folder/a`));
    assert.throws(() => openSqlite(join(scratch, "none/x.sqlite")), /none\/x\.sqlite: unable to open/);
    const database = openSqlite(join(scratch, "x.sqlite"));
    assert.throws(() => database.all("SELECT * FROM missing"), /x\.sqlite: no such table/);
    writeFileSync(join(scratch, "no.sqlite"), "this is no database, however long one looks at it".repeat(99));
    assert.throws(() => openSqlite(join(scratch, "no.sqlite")), /no\.sqlite: file is not a database/);
  },

  "a database is durable, keeps its log short, and leaves one file when it is closed"(scratch) {
    const path = join(scratch, "x.sqlite");
    const database = openSqlite(path, { overwrite: true });
    const read = (name: string) => Object.values(database.all(`PRAGMA ${name}`)[0]!)[0];
    assert.deepEqual(
      ["journal_mode", "synchronous", "wal_autocheckpoint", "fullfsync", "secure_delete"].map(read),
      ["wal", 2, 1000, 1, 1],
    );
    database.all("CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB)");
    for (let n = 0; n < 40; n++) {
      database.transaction(() => {
        for (let i = 0; i < 100; i++) database.all("INSERT INTO t (bytes) VALUES (?)", new Uint8Array(4096));
      });
    }
    // 1000 pages of 4 KiB, and what the transaction that got there had to add.
    assert.ok(statSync(`${path}-wal`).size < 8 * 1024 * 1024, String(statSync(`${path}-wal`).size));
    database.transaction(() => database.all("UPDATE t SET bytes = ?", new Uint8Array(8192)));
    database.all("INSERT INTO t (bytes) VALUES (?)", new Uint8Array(1));
    database.all("INSERT INTO t (bytes) VALUES (?)", new Uint8Array(1));
    assert.ok(statSync(`${path}-wal`).size <= 17 * 1024 * 1024, String(statSync(`${path}-wal`).size));
    assert.equal(read("integrity_check"), "ok");
    database.close();
    assert.deepEqual(readdirSync(scratch), ["x.sqlite"]);
    assert.throws(() => database.all("SELECT 1"));
  },

  "a transaction that throws leaves nothing behind, and the next one goes on"(scratch) {
    const database = openSqlite(join(scratch, "x.sqlite"));
    database.all("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    const failing = () =>
      database.transaction(() => {
        database.all("INSERT INTO t VALUES (1)");
        throw new Error("on purpose");
      });
    assert.throws(failing, /^Error: on purpose$/);
    database.transaction(() => database.all("INSERT INTO t VALUES (2)"));
    assert.deepEqual(
      database.all("SELECT id FROM t").map(({ id }) => id),
      [2],
    );
    database.close();
  },

  async "what a vault lets go of is not in its file any more"(scratch) {
    const state = await openState(join(scratch, "state"));
    const vault = state.vault("main");
    vault.all("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)");
    vault.all("INSERT INTO t VALUES (1, ?), (2, ?)", "alice@example.com", "bob@example.com");
    vault.all("DELETE FROM t WHERE id = 1");
    state.close();
    const file = readFileSync(join(scratch, "state/vaults/main.sqlite"), "latin1");
    assert.equal(file.includes("bob@example.com"), true);
    assert.equal(file.includes("alice@example.com"), false);
  },

  async "a state folder is its owner's alone, and goes on where it was left"(scratch) {
    const path = join(scratch, "new/state");
    const state = await openState(path);
    state.ledger("main").all("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    assert.equal(state.ledger("main"), state.ledger("main"));
    state.anchorer().all("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    await state.archive.putIfAbsent("main/checkpoint", bytes("1"));
    await state.anchors.putIfAbsent("anchors/0000000000.jws", bytes("0"));
    for (const name of ["../x", "", "A", "a/b", "x".repeat(64)]) {
      assert.throws(() => state.ledger(name), /expected a ledger's name/);
    }
    assert.equal(statSync(path).mode & 0o777, 0o700);
    assert.equal(statSync(join(path, "lock.sqlite")).mode & 0o777, 0o600);
    state.close();
    const again = await openState(path);
    assert.deepEqual(again.ledger("main").all("SELECT * FROM t"), []);
    assert.equal(textOf(await again.archive.get("main/checkpoint")), "1");
    again.close();
    const kept = ["anchors", "anchors.sqlite", "archive", "ledgers", "lock.sqlite", "vaults"];
    assert.deepEqual(readdirSync(path).sort(), kept);
  },

  async "a state folder is refused while it is open already, by this process as well"(scratch) {
    const state = await openState(join(scratch, "state"));
    await assert.rejects(openState(join(scratch, "state")), /another process has the state folder .*\/state/);
    state.close();
    (await openState(join(scratch, "state"))).close();
  },

  async "a state folder that others can write to is refused"(scratch) {
    mkdirSync(join(scratch, "state"), { mode: 0o700 });
    assert.equal(spawnSync("chmod", ["777", join(scratch, "state")]).status, 0);
    await assert.rejects(openState(join(scratch, "state")), /can be written to by others .*chmod go-w/);
    assert.equal(spawnSync("chmod", ["700", join(scratch, "state")]).status, 0);
    (await openState(join(scratch, "state"))).close();
    assert.equal(spawnSync("chmod", ["770", join(scratch, "state/vaults")]).status, 0);
    await assert.rejects(openState(join(scratch, "state")), /vaults can be written to by others/);
  },
};
