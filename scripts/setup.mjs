// Installs what package-lock.json names, if it is not installed yet, so that every command works in a fresh
// clone. Plain JavaScript that any Node runs: the pinned Node, with which all else runs, comes with it.
// It asks nothing, and when everything is in place it says nothing. Two commands at once install once.
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));
const LOCK = join(PROJECT, ".counterfoil", "setup.lock");
const PINNED_NODE = join(
  PROJECT,
  "node_modules/node/bin",
  process.platform === "win32" ? "node.exe" : "node",
);

if (!isInstalled()) {
  lock();
  try {
    if (!isInstalled()) install();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  } finally {
    rmSync(LOCK, { force: true });
  }
}

/** Whether node_modules is what package-lock.json names, by the list that npm leaves at the end of an install. */
function isInstalled() {
  const installed = readPackages("node_modules/.package-lock.json");
  const named = readPackages("package-lock.json");
  if (installed === undefined || named === undefined || !existsSync(PINNED_NODE)) return false;
  const isSame = path =>
    installed[path]?.version === named[path].version && installed[path]?.integrity === named[path].integrity;
  return (
    Object.keys(installed).every(path => named[path] !== undefined) &&
    Object.keys(named).every(
      path => path === "" || isSame(path) || (named[path].optional && !installed[path]),
    )
  );
}

function readPackages(lockFile) {
  try {
    return JSON.parse(readFileSync(join(PROJECT, lockFile), "utf8")).packages;
  } catch {
    return undefined;
  }
}

function install() {
  console.error("Installing what package-lock.json names. This is done once…");
  // With development dependencies in any case: the pinned Node is one of them.
  const npm = runNpm("ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error");
  if (npm.status !== 0) {
    const how = npm.error?.message ?? npm.signal ?? `exit code ${npm.status}`;
    throw new Error(`${npm.stdout ?? ""}${npm.stderr ?? ""}Installing failed: npm ci ended with ${how}.`);
  }
  if (spawnSync(PINNED_NODE, ["--version"]).status !== 0) {
    throw new Error(
      "Installed, but for the pinned Node, which an install script puts in place. If your npm configuration\n" +
        "says ignore-scripts, run this once: npm ci --ignore-scripts=false",
    );
  }
}

/** Runs the npm that runs this script, with the Node that it runs on itself: the pinned one may be replaced. */
function runNpm(...args) {
  const cli = process.env.npm_execpath ?? "";
  const options = { cwd: PROJECT, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 2 ** 26 };
  return basename(cli) === "npm-cli.js"
    ? spawnSync(process.env.npm_node_execpath ?? process.execPath, [cli, ...args], options)
    : spawnSync("npm", args, { ...options, shell: process.platform === "win32" });
}

/** Waits until no other process is installing. A lock whose process is gone does not count. */
function lock() {
  const mine = `${LOCK}.${process.pid}`;
  mkdirSync(dirname(LOCK), { recursive: true });
  writeFileSync(mine, `${process.pid}`);
  while (!tryLink(mine, LOCK)) {
    if (isAbandoned(LOCK)) rmSync(LOCK, { force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  rmSync(mine);
}

function tryLink(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

function isAbandoned(lock) {
  try {
    process.kill(Number(readFileSync(lock, "utf8")), 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}
