// The public keys of token issuers, fetched from URLs that the policy fixes and kept for a bounded time. What is
// kept is plain data: on some platforms a promise belongs to the request that made it, so requests share no
// promise here, and each that needs keys fetches them itself or looks, now and then, whether another one has.
import type { JSONWebKeySet } from "jose";
import * as v from "valibot";
import { BodyDigest, readWhole } from "./body.ts";

export interface JwksSources {
  /** Milliseconds of Unix time. */
  readonly now: () => number;
  /** Fetches a URL of the policy's, with its body decoded. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/** How long keys are used before they are fetched again, in ms. */
const FRESH_MS = 10 * 60_000;

/** How long they are used at the most while they cannot be fetched again, in ms. */
const STALE_MS = 60 * 60_000;

/** How long to wait after one fetch, whatever it came to, before the next, in ms. */
const COOLDOWN_MS = 10_000;

/** How long a fetch may take, and how often others look whether it is done, in ms. */
const FETCH_WAIT_MS = 5000;
const LOOK_STEP_MS = 20;

const DOCUMENT_BYTES_MAX = 256 * 1024;

const JwksDocument = v.object({
  keys: v.pipe(v.array(v.looseObject({ kty: v.string() })), v.maxLength(100)),
});

/** The keys cannot be had, so nothing can be said of a token. */
export class KeysUnavailable extends Error {
  constructor(reason: string) {
    super(`the issuer's keys cannot be fetched: ${reason}`);
    this.name = "KeysUnavailable";
  }
}

interface Kept {
  keys?: JSONWebKeySet;
  /** When those keys were fetched. */
  fetchedAt: number;
  /** When the last fetch ended, and why it failed if it did. */
  triedAt: number;
  trouble?: string;
  /** When the fetch that is under way began, if there is one. */
  beganAt?: number;
}

export class Jwks {
  readonly #sources: JwksSources;
  readonly #kept = new Map<string, Kept>();

  constructor(sources: JwksSources) {
    this.#sources = sources;
  }

  /** The keys at a URL. @throws KeysUnavailable */
  async get(url: string): Promise<JSONWebKeySet> {
    const kept = this.#at(url);
    if (this.#age(kept) >= FRESH_MS) await this.#renew(url, kept);
    if (kept.keys === undefined || this.#age(kept) >= STALE_MS) {
      throw new KeysUnavailable(kept.trouble ?? "no answer in time");
    }
    return kept.keys;
  }

  /** The keys at a URL, fetched again if they still are the ones given and the last fetch is not too recent. */
  async beyond(url: string, keys: JSONWebKeySet): Promise<JSONWebKeySet> {
    const kept = this.#at(url);
    if (kept.keys === keys) await this.#renew(url, kept);
    return kept.keys ?? keys;
  }

  #at(url: string): Kept {
    const kept = this.#kept.get(url) ?? { fetchedAt: -Infinity, triedAt: -Infinity };
    this.#kept.set(url, kept);
    return kept;
  }

  #age(kept: Kept): number {
    return this.#sources.now() - kept.fetchedAt;
  }

  /** Fetches keys, or waits for the fetch that is under way; one fetch at a time, and not too often. */
  async #renew(url: string, kept: Kept): Promise<void> {
    const { now } = this.#sources;
    // A request that was cancelled cannot say that its fetch has ended: it is stepped over.
    const isUnderWay = () => kept.beganAt !== undefined && now() - kept.beganAt <= FETCH_WAIT_MS;
    if (isUnderWay()) {
      while (isUnderWay()) await new Promise(resolve => setTimeout(resolve, LOOK_STEP_MS));
      if (kept.beganAt === undefined) return;
    }
    if (now() - kept.triedAt < COOLDOWN_MS) return;
    const beganAt = now();
    kept.beganAt = beganAt;
    try {
      kept.keys = await this.#fetch(url);
      kept.fetchedAt = now();
      delete kept.trouble;
    } catch (error) {
      kept.trouble = error instanceof KeysTrouble ? error.message : "no answer in time";
    } finally {
      kept.triedAt = now();
      if (kept.beganAt === beganAt) delete kept.beganAt;
    }
  }

  async #fetch(url: string): Promise<JSONWebKeySet> {
    const signal = AbortSignal.timeout(FETCH_WAIT_MS);
    const response = await this.#sources.fetch(url, {
      headers: { accept: "application/jwk-set+json, application/json" },
      // Where keys come from is the policy's to say, not that of whoever answers there.
      redirect: "manual",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new KeysTrouble(`status ${response.status}`);
    }
    const bytes = await readWhole(response.body, DOCUMENT_BYTES_MAX, new BodyDigest(), signal);
    if (bytes === undefined) throw new KeysTrouble(`broken off, or more than ${DOCUMENT_BYTES_MAX} bytes`);
    try {
      return v.parse(JwksDocument, JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      throw new KeysTrouble("not a JSON Web Key Set of at most 100 keys");
    }
  }
}

/** What was wrong with an answer, in words of our own. */
class KeysTrouble extends Error {}
