// What the command line needs of the platform that it runs on, and nothing else; the SDK needs only the part that
// sends. Everything that can fail here for reasons of the world outside (no such host, no permission) fails with an
// Undecided.
import type { NoteKey } from "../tlog/note.ts";

export interface WireRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
  /** Gives up when nothing arrives for so long after the head of the response, in ms; else never. */
  readonly idleMs?: number;
}

/** Sends one request. Resolves with the head of the response. @throws Undecided when there is no answer */
export interface Sender {
  send(request: WireRequest): Promise<WireResponse>;
}

/** A response as it stands on the wire: no content coding was undone, no redirect followed. */
export interface WireResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The bytes after transfer coding; throws Undecided when they break off. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** How a witness is to run. */
export interface WitnessSettings {
  /** The folder of its key and its memory, made when it is not there. */
  readonly state: string;
  /** Its name, in its key and its cosignatures; the folder keeps the one that it began with. */
  readonly name: string;
  /** The keys of the logs that it cosigns for. */
  readonly logs: readonly NoteKey[];
  readonly host: string;
  readonly port: number;
}

/** Where a witness answers, and its verifier key, for the policies of those who trust it. */
export interface WitnessAddress {
  readonly url: string;
  readonly key: string;
}

/** How an edge is to run. */
export interface EdgeSettings {
  /** The path of its wrangler.toml. */
  readonly config: string;
  /** The folder of all that it keeps, made when it is not there. */
  readonly state: string;
  readonly host: string;
  readonly port: number;
  /** The paths of PEM files, where it ends TLS itself. */
  readonly tls?:
    | { readonly cert: string; readonly key: string; readonly clientCa?: string | undefined }
    | undefined;
  /** For how long it still takes requests when it is told to end, and for how long they may take then, in ms. */
  readonly noticeMs: number;
  readonly finishMs: number;
}

/** Where an edge answers. */
export interface EdgeAddress {
  readonly url: string;
  readonly issuer: string;
  /** The path that its own URLs begin with. */
  readonly prefix: string;
  /** What it runs on. */
  readonly runtime: string;
  /** What it has taken over from local workerd just now, and where that lies now. */
  readonly adopted?: {
    readonly ledgers: readonly { readonly name: string; readonly size: number }[];
    readonly aside: string;
  };
}

/** What would become of a request by a policy. */
export interface PolicyExplanation {
  /** The routes that do not take it, up to the one that does, and whether by host, path or method. */
  readonly passed: readonly { readonly route: string; readonly why: string }[];
  /** The settings of the route that takes it. */
  readonly route?: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly target?: string;
  readonly refusal?: { readonly status: number; readonly error: string };
  readonly readings?: readonly string[];
  readonly isOwn: boolean;
}

/** A policy, as the edge reads it. */
export interface PolicyReading {
  readonly hash: string;
  readonly issuer: string;
  /** The names of the routes, in their order. */
  readonly routes: readonly string[];
  /** @throws TypeError for a method that cannot be sent. */
  explain(method: string, url: URL): PolicyExplanation;
}

export type DatabaseValue = string | number | null | Uint8Array;
export type DatabaseRow = Readonly<Record<string, DatabaseValue>>;

/** A local SQLite file. */
export interface Database {
  /** Runs one statement and returns all its rows. */
  all(statement: string, ...values: DatabaseValue[]): DatabaseRow[];
  /** Runs `work`, which must not wait, as one transaction: after a throw nothing of it remains. */
  transaction<T>(work: () => T): T;
}

/** What a signing key is for. */
export type KeyUse = "receipt" | "checkpoint" | "anchor";

/** A signing key, by its public half. */
export interface KeyView {
  readonly use: KeyUse;
  /** 32 bytes in base64url, and its RFC 7638 thumbprint. */
  readonly key: string;
  readonly kid: string;
  /** Until when what it has signed is believed, if it was retired. */
  readonly until?: string;
  /** Whether its private half is kept, so that receipts of its time are issued again. */
  readonly isKept?: true;
}

/** The keys that an operator has in a folder: those in force first, then those that were retired. */
export interface KeyStore {
  /** @returns undefined when there are none. */
  list(folder: string): Promise<KeyView[] | undefined>;
  /** Makes a new set. @throws Undecided when there is one. */
  make(folder: string): Promise<KeyView[]>;
  /**
   * Puts a new key in the place of the one in force. @param deployed the keys of the edge that it is for, where that
   * has its own. @throws Undecided when there is none to be replaced, or the edge has another.
   */
  rotate(folder: string, use: KeyUse, until: string, deployed?: readonly KeyView[]): Promise<KeyView[]>;
  /** Lets go of the private half of the receipt key before. @returns undefined when there is none. */
  retire(folder: string): Promise<KeyView[] | undefined>;
}

export interface Platform extends Sender {
  /** The version of the program. */
  readonly version: string;
  /** Whether a person is looking at standard output, and at standard error. */
  readonly isTerminal: { readonly out: boolean; readonly err: boolean };
  /** A variable of the environment. */
  variable(name: string): string | undefined;
  /**
   * The bytes of a file, or undefined when there is none of that name.
   * @param bytesMax with it, only a regular file of so many bytes at the most is read: what a stranger has put into a
   *   folder may have no end.
   */
  readFile(path: string, bytesMax?: number): Promise<Uint8Array | undefined>;
  /** Whether there is a file of that name. */
  hasFile(path: string): Promise<boolean>;
  /** Makes a folder, and those above it; one that is there already is left as it is. */
  makeFolder(path: string): Promise<void>;
  /** Opens a database, which is made when it is not there. @throws Undecided when it is none, or in use. */
  openDatabase(path: string): Promise<Database>;
  /** The clock, in ms of Unix time: for how long things take, and when they were done; never for what is proven. */
  now(): number;
  /** Random bytes, which nobody can foresee. */
  random(bytes: number): Uint8Array;
  /** Waits. @returns false when the process was told to end meanwhile. */
  pause(ms: number): Promise<boolean>;
  /** The names in a folder, or undefined when there is no such folder. */
  listFolder(path: string): Promise<string[] | undefined>;
  /** Writes a file, whole or not at all. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Removes a file; one that is not there is no failure. */
  removeFile(path: string): Promise<void>;
  /** All of standard input. */
  readInput(): Promise<Uint8Array>;
  /** Writes to standard output, and to standard error. */
  writeOut(data: Uint8Array | string): Promise<void>;
  writeErr(text: string): Promise<void>;
  /**
   * Runs a witness until this process is told to end.
   * @param ready is told once it answers. @throws Undecided when it cannot begin.
   */
  runWitness(settings: WitnessSettings, ready: (address: WitnessAddress) => Promise<void>): Promise<void>;
  /**
   * Runs an edge until this process is told to end, and then until it has ended in good order.
   * @param ready is told once it answers. @throws Undecided when it cannot begin.
   */
  runEdge(settings: EdgeSettings, ready: (address: EdgeAddress) => Promise<void>): Promise<void>;
  /** Reads the text of a wrangler.toml as the edge would. @throws Error that says what is wrong with it. */
  readPolicy(toml: string): PolicyReading;
  readonly keys: KeyStore;
}
