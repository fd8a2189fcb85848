// The keys of a state folder, for the command line: made, replaced and let go of. All of them are in one file, which
// is replaced as a whole: whatever interrupts a rotation, the folder has the keys of before or those of after, with the
// public half of the one that was replaced. Private halves never leave here; nobody else has the folder meanwhile.
import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Undecided } from "../client/outcome.ts";
import type { KeyStore, KeyUse, KeyView } from "../client/platform.ts";
import { thumbprintOf } from "../receipt/key.ts";
import { syncFolder, writeNew } from "./disk.ts";
import { type KeySet, makeSigningKey, openKeySet, readIfPresent, SECRETS_FILE } from "./keys.ts";
import { lockState } from "./state.ts";

const NAMES = { receipt: "RECEIPT_KEY", checkpoint: "CHECKPOINT_KEY", anchor: "ANCHOR_KEY" } as const;
const USES = Object.keys(NAMES) as KeyUse[];

/** The file: each signing key that the folder has, and what it knows of those before. */
type Secrets = Partial<Omit<KeySet, "OPERATOR_TOKEN_SHA256">>;

interface Retired {
  readonly use: KeyUse;
  readonly key: string;
  readonly until: string;
}

export const keyStore: KeyStore = {
  async list(folder) {
    const secrets = await readSecrets(folder);
    return secrets && viewOf(secrets);
  },

  async make(folder) {
    return alone(folder, async () => {
      if ((await readSecrets(folder)) !== undefined) {
        throw new Undecided(`${folder} has keys already, and nothing overwrites them`, {
          expected: "another folder; or counterfoil keys rotate",
        });
      }
      await openKeySet(folder);
      return viewOf((await readSecrets(folder))!);
    });
  },

  async rotate(folder, use, until, deployed) {
    return alone(folder, async () => {
      const secrets = (await readSecrets(folder)) ?? {};
      if (deployed === undefined && secrets[NAMES[use]] === undefined) {
        throw new Undecided(`${folder} has no ${use} key to replace`, {
          expected: `${SECRETS_FILE}, or the URL of the edge that has the key (--url)`,
        });
      }
      const [now] = (await viewOf(secrets)).filter(view => isInForce(view, use));
      const there = deployed?.find(view => isInForce(view, use));
      if (now !== undefined && there !== undefined && now.key !== there.key) {
        throw new Undecided(`the ${use} key of ${folder} is not the one in force there`, {
          expected: `${there.key}; deploy what is in the folder first: npx wrangler secret bulk ${join(folder, SECRETS_FILE)}`,
          found: now.key,
        });
      }
      const { key } = (now ?? there)!;
      const known = [...readRetired(secrets), ...(deployed ?? []).filter(isRetired)];
      const retired = [{ use, key, until }, ...known.filter(old => old.use !== use || old.key !== key)];
      const before = use === "receipt" ? secrets.RECEIPT_KEY : secrets.RECEIPT_KEY_BEFORE;
      const after: Secrets = {
        ...secrets,
        [NAMES[use]]: await makeSigningKey(),
        ...(before !== undefined && { RECEIPT_KEY_BEFORE: before }),
        RETIRED_KEYS: JSON.stringify(distinct(retired)),
      };
      await replaceSecrets(folder, after);
      return viewOf(after);
    });
  },

  async retire(folder) {
    return alone(folder, async () => {
      const secrets = await readSecrets(folder);
      const { RECEIPT_KEY_BEFORE: before, ...rest } = secrets ?? {};
      if (before === undefined) return undefined;
      await replaceSecrets(folder, rest);
      return viewOf(rest);
    });
  },
};

/** Works on a folder that no edge has meanwhile. */
async function alone<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockState(folder).catch((error: Error) => {
    throw new Undecided(error.message);
  });
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function readSecrets(folder: string): Promise<Secrets | undefined> {
  const path = join(folder, SECRETS_FILE);
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  try {
    const secrets = JSON.parse(text) as Record<string, unknown>;
    for (const value of Object.values(secrets)) if (typeof value !== "string") throw new Error();
    readRetired(secrets);
    return secrets as Secrets;
  } catch {
    // What is wrong with it may quote it, and it is secret.
    throw new Undecided(`${path} does not hold keys`, { expected: "JSON as keys new writes it" });
  }
}

function readRetired({ RETIRED_KEYS: text = "[]" }: Secrets): Retired[] {
  return (JSON.parse(text) as Retired[]).map(({ use, key, until }) => ({ use, key, until }));
}

/** The public halves of all that is known here: of each use the key in force, and then those that were retired. */
async function viewOf(secrets: Secrets): Promise<KeyView[]> {
  const inForce = USES.flatMap(use => {
    const jwk = secrets[NAMES[use]];
    return jwk === undefined ? [] : [{ use, key: publicHalf(jwk) }];
  });
  const before = secrets.RECEIPT_KEY_BEFORE && publicHalf(secrets.RECEIPT_KEY_BEFORE);
  const retired = readRetired(secrets).map(old => ({
    ...old,
    ...(old.use === "receipt" && old.key === before && { isKept: true as const }),
  }));
  return Promise.all(
    [...inForce, ...retired].map(async key => ({ ...key, kid: await thumbprintOf(key.key) })),
  );
}

function publicHalf(jwk: string): string {
  return (JSON.parse(jwk) as { x: string }).x;
}

function isInForce(view: KeyView, use: KeyUse): boolean {
  return view.use === use && view.until === undefined;
}

function isRetired(view: KeyView): view is KeyView & Retired {
  return view.until !== undefined;
}

function distinct(keys: readonly Retired[]): Retired[] {
  const known = new Map(
    keys.toReversed().map(({ use, key, until }) => [`${use} ${key}`, { use, key, until }]),
  );
  return [...known.values()].reverse();
}

/** Replaces the file: what is on disk is all of the old one or all of the new one. */
async function replaceSecrets(folder: string, secrets: Secrets): Promise<void> {
  const path = join(folder, SECRETS_FILE);
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeNew(draft, `${JSON.stringify(secrets, null, 2)}\n`, 0o600);
    await rename(draft, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(draft, { force: true });
    throw new Undecided(`${path} cannot be replaced`, { found: (error as Error).message });
  }
}
