// The edge as one process on Node, Deno or Bun: the same app and the same writers as on Workers, with one SQLite file
// for each object, folders for the buckets, and timers for the alarms.
//
// No answer leaves before what it says is on disk: a writer commits in one transaction that SQLite has synced when it
// returns (WAL, synchronous=FULL), and answers afterwards. One process has a state folder at a time, so each ledger
// has its one writer. What was due before the last end is done at the start.
import type { AnchorWriter } from "../../durable/anchorwriter.ts";
import type { LedgerWriter } from "../../durable/ledgerwriter.ts";
import { plainLock } from "../../durable/lock.ts";
import type { VaultWriter } from "../../durable/vaultwriter.ts";
import type { App } from "../edge/app.ts";
import { type Policy, PolicyError } from "../edge/policy.ts";
import type { Buckets } from "./buckets.ts";
import { type Environment, openEnvironment, type Secrets } from "./environment.ts";
import { openAnchorWriter, openApp, openLedgerWriter, openVaultWriter } from "./parts.ts";
import type { Listening, Runtime, TlsOptions } from "./runtime.ts";
import { claimIssuer, openState, type State } from "./state.ts";
import { Timer } from "./timer.ts";

export interface EdgeOptions {
  /** What wrangler.toml says in [vars]. */
  readonly vars: unknown;
  /** The secrets, asked for once the state folder is this process's own. */
  readonly secrets: () => Promise<Secrets>;
  /** The state folder, made if there is none. */
  readonly state: string;
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsOptions | undefined;
}

/** How long a drain may take, in ms. */
export interface DrainBounds {
  /** For how long requests are still taken, while `<prefix>ready` says that none are wanted. */
  readonly noticeMs: number;
  /** For how long what has begun may take. */
  readonly finishMs: number;
}

export interface RunningEdge {
  readonly url: string;
  readonly policy: Policy;
  /** What was taken over from local workerd, if anything was. */
  readonly adoption: State["adoption"];
  /** Ends in good order: what has begun is answered within bounds, what is on record is published. */
  drain(bounds: DrainBounds): Promise<void>;
}

/** How long publishing may take at the end, in ms: what is not published by then is at the next start. */
const PUBLISH_WAIT_MS = 10_000;

/**
 * Starts an edge.
 * @throws Error with a sentence that says what is wrong: a setting, what this platform cannot do, the state folder,
 * the address.
 */
export async function startEdge(options: EdgeOptions, runtime: Runtime): Promise<RunningEdge> {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === "0") {
    throw new Error(
      "NODE_TLS_REJECT_UNAUTHORIZED=0 has every certificate of an upstream believed: leave it out, and name an authority of yours in NODE_EXTRA_CA_CERTS",
    );
  }
  const state = await openState(options.state);
  try {
    const environment = await openEnvironment(options.vars, await options.secrets());
    refuseImpossible(environment.policy, options);
    await claimIssuer(state.path, environment.policy.issuer);
    const edge = new Edge(environment, state, runtime);
    await edge.open(options);
    return edge;
  } catch (error) {
    state.close();
    throw error;
  }
}

/** @throws Error for what the policy wants and a process of its own cannot do. */
function refuseImpossible(policy: Policy, { tls }: EdgeOptions): void {
  const { anchor, client_address, lock, routes } = policy;
  if (client_address === "cf-connecting-ip") {
    refuse(
      "client_address",
      'Cloudflare\'s front does not stand before this process, and any client could name an address in its place: expected "peer", "x-forwarded-for" or "none"',
    );
  }
  if (lock?.rules_url !== undefined) {
    refuse(
      "lock.rules_url",
      "the anchors of this process do not lie in a bucket of Cloudflare's: leave it out",
    );
  }
  if (lock !== undefined && !lock.local && anchor.s3?.role !== "store") {
    refuse(
      "lock",
      'a folder of this machine locks nothing: say so with local = true, or keep the anchors under a lock ([vars.anchor.s3] with role = "store")',
    );
  }
  const asking = routes.find(({ identity }) => identity?.methods.some(({ by }) => by === "mtls"));
  if (asking !== undefined && tls?.clientCa === undefined) {
    refuse(
      `routes: "${asking.name}" identifies callers by certificate`,
      "this process sees certificates only if it ends TLS itself and knows their authority: give --tls-client-ca",
    );
  }
}

function refuse(key: string, reason: string): never {
  throw new PolicyError(key, reason);
}

class Edge implements RunningEdge {
  readonly #environment: Environment;
  readonly #state: State;
  readonly #runtime: Runtime;
  readonly #ledgers: ReadonlyMap<string, LedgerWriter>;
  readonly #vaults: ReadonlyMap<string, VaultWriter>;
  readonly #anchorWriter: AnchorWriter;
  readonly #timers = { ledgers: [] as Timer[], others: [] as Timer[] };
  #listening!: Listening;
  #isDraining = false;

  constructor(environment: Environment, state: State, runtime: Runtime) {
    this.#environment = environment;
    this.#state = state;
    this.#runtime = runtime;
    const { policy } = environment;
    const names = policy.ledgers.map(({ name }) => name);
    this.#anchorWriter = this.#openAnchorWriter();
    this.#ledgers = new Map(names.map(name => [name, this.#openLedgerWriter(name)]));
    this.#vaults = new Map(names.map(name => [name, this.#openVaultWriter(name)]));
  }

  get url(): string {
    return this.#listening.url;
  }

  get adoption(): State["adoption"] {
    return this.#state.adoption;
  }

  get policy(): Policy {
    return this.#environment.policy;
  }

  async open({ host, port, tls }: EdgeOptions): Promise<void> {
    const handle = this.#openApp();
    const timers = [...this.#timers.ledgers, ...this.#timers.others];
    try {
      await this.#compare();
      this.#listening = await this.#runtime.listen({ host, port, tls, handle });
      for (const timer of timers) await timer.set(Date.now());
    } catch (error) {
      for (const timer of timers) await timer.stop();
      throw error;
    }
  }

  /**
   * Nobody is let in before every ledger was compared with what it has published. One that has halted says so itself;
   * one whose archive is out of reach takes no records until that is there again, and is no reason to be down for longer.
   */
  async #compare(): Promise<void> {
    for (const [name, ledger] of this.#ledgers) {
      await ledger.status().catch(error => {
        console.error(`ledger "${name}" cannot be compared with what it has published:`, error);
      });
    }
  }

  async drain({ noticeMs, finishMs }: DrainBounds): Promise<void> {
    this.#isDraining = true;
    if (noticeMs > 0) await new Promise(resolve => setTimeout(resolve, noticeMs));
    await this.#listening.stop(finishMs);
    const published = Promise.all(this.#timers.ledgers.map(timer => timer.flush()));
    const late = new Promise(resolve => setTimeout(resolve, PUBLISH_WAIT_MS).unref());
    await Promise.race([published, late]);
    const stopped = Promise.all(this.#timers.others.map(timer => timer.stop()));
    await Promise.race([stopped, late]);
    this.#state.close();
  }

  /** Folders in the place of the buckets ARCHIVE and ANCHORS. */
  get #buckets(): Buckets {
    const { archive, anchors } = this.#state;
    return { archive, spool: archive, anchors };
  }

  #openApp(): App {
    return openApp(this.#environment, {
      ...this.#buckets,
      platform: this.#runtime.platform,
      ledger: name => this.#ledgers.get(name)!,
      vault: name => this.#vaults.get(name)!,
      anchorWriter: () => this.#anchorWriter,
      isDraining: () => this.#isDraining,
    });
  }

  #openLedgerWriter(name: string): LedgerWriter {
    const alarm = new Timer(() => writer.onAlarm());
    this.#timers.ledgers.push(alarm);
    const writer = openLedgerWriter(this.#environment, name, {
      sql: this.#state.ledger(name),
      // A transaction is on disk when it returns.
      sync: async () => {},
      ...this.#buckets,
      alarm,
      anchorWriter: this.#anchorWriter,
      vault: () => this.#vaults.get(name)!,
      breathe: () => new Promise(resolve => setImmediate(resolve)),
    });
    return writer;
  }

  #openAnchorWriter(): AnchorWriter {
    const alarm = new Timer(() => writer.onAlarm());
    this.#timers.others.push(alarm);
    const writer = openAnchorWriter(this.#environment, {
      sql: this.#state.anchorer(),
      ...this.#buckets,
      alarm,
      lock: plainLock("local"),
      wake: name => this.#ledgers.get(name)!.wake(),
    });
    return writer;
  }

  #openVaultWriter(name: string): VaultWriter {
    const alarm = new Timer(() => writer.onAlarm());
    this.#timers.others.push(alarm);
    const writer = openVaultWriter(this.policy, { sql: this.#state.vault(name), alarm });
    return writer;
  }
}
