// The monitor: what it remembers, and what it makes of a ledger that contradicts that.
import { beforeEach, describe, expect, test } from "vitest";
import { createMonitor, type Fetch, type Trust, Undecided } from "../../../src/client/index.ts";
import { createWorld, LEDGER, ORIGIN, type World } from "../../world.ts";
import { failureOf, openClient, openWeb, refuse, type Web } from "./web.ts";

let world: World;
let web: Web;
let fetch: Fetch;
let trust: Trust;

beforeEach(async () => {
  ({ world, web, fetch, trust } = await openClient());
});

describe("createMonitor", () => {
  let store: Map<string, string>;

  beforeEach(async () => {
    store = new Map();
    await world.append({}, {}, {});
    await world.publish();
  });

  const monitor = (of = fetch) => createMonitor({ trust, store, fetch: of });

  test("remembers a checkpoint, and has the next one proven to continue it", async () => {
    expect(await monitor().check()).toMatchObject([{ before: undefined, checkpoint: { size: 4 } }]);
    expect(await monitor().check()).toMatchObject([{ before: 4, checkpoint: { size: 4 } }]);
    await world.append(...new Array(600).fill({}));
    await world.publish();
    expect(await monitor().check()).toMatchObject([{ before: 4, checkpoint: { size: 604, origin: ORIGIN } }]);
  });

  test("finds a fork, keeps both checkpoints, and does not forget the first", async () => {
    await monitor().check();
    const other = await createWorld();
    await other.append({ ms: 99 }, {}, {}, {});
    await other.publish();
    const forked = openWeb(other).fetch;
    expect(await failureOf(monitor(forked).check())).toMatchObject({ name: "Fault", code: "forked" });
    const evidence = [...store].find(([key]) => key.startsWith("contradiction/"))!;
    const { remembered, found } = JSON.parse(evidence[1]);
    expect(found).not.toBe(remembered);
    expect(store.get(`checkpoint/${ORIGIN}`)).toBe(remembered);
  });

  test("finds a ledger that was rolled back, and one that is gone", async () => {
    const old = world.archive.objects.get(`${LEDGER}/checkpoint`)!;
    await world.append({});
    await world.publish();
    await monitor().check();
    world.archive.set(`${LEDGER}/checkpoint`, old);
    expect(await failureOf(monitor().check())).toMatchObject({ name: "Fault", code: "rolled-back" });
    world.archive.objects.delete(`${LEDGER}/checkpoint`);
    expect(await failureOf(monitor().check())).toMatchObject({ name: "Fault", code: "missing" });
  });

  test("is undecided without a network, before the first checkpoint, and of something else altogether", async () => {
    expect(await failureOf(monitor(refuse).check())).toMatchObject({ code: "no-answer" });
    web.onTheWay = () => new Response("<html>", { status: 200 });
    expect(await failureOf(monitor().check())).toMatchObject({ name: "Undecided", code: "malformed" });
    web.onTheWay = () => new Response("", { status: 404 });
    expect(await failureOf(monitor().check())).toMatchObject({ code: "not-yet-included" });
    const signal = AbortSignal.abort(new Error("enough"));
    expect(await failureOf(monitor().check({ signal }))).toBe(signal.reason);
    expect(() => createMonitor({ trust } as never)).toThrow(Undecided);
  });
});
