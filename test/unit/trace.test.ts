import { describe, expect, it } from "vitest";
import { makeTrace, setTrace } from "../../src/edge/trace.ts";

const RANDOM = Uint8Array.from({ length: 24 }, (_, i) => i + 1);
const NEW = { trace: "0102030405060708090a0b0c0d0e0f10", span: "1112131415161718" };
const ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

function continued(traceparent: string, tracestate?: string) {
  const headers = new Headers({ traceparent, ...(tracestate === undefined ? {} : { tracestate }) });
  const trace = makeTrace(headers, "untrusted", RANDOM);
  setTrace(headers, trace);
  return { trace, sent: Object.fromEntries(headers) };
}

describe("a trace", () => {
  it("begins here when none comes with the request", () => {
    const headers = new Headers({ tracestate: "a=b" });
    const trace = makeTrace(headers, "untrusted", RANDOM);
    setTrace(headers, trace);
    expect(trace).toEqual({ traceparent: `00-${NEW.trace}-${NEW.span}-01` });
    expect(Object.fromEntries(headers)).toEqual({ traceparent: trace.traceparent });
  });

  it.each([
    ["01", "01"],
    ["00", "00"],
    ["ff", "01"],
    ["fe", "00"],
  ])("goes on with this edge as a span of its own, flags %s as %s", (flags, passed) => {
    const { trace, sent } = continued(`00-${ID}-${PARENT}-${flags}`, "a=b, c@d=e");
    expect(trace).toEqual({ traceparent: `00-${ID}-${NEW.span}-${passed}`, parent: PARENT, trusted: false });
    expect(sent).toEqual({ traceparent: trace.traceparent, tracestate: "a=b, c@d=e" });
  });

  it("is marked as trusted only by a route that trusts the sender", () => {
    const headers = new Headers({ traceparent: `00-${ID}-${PARENT}-01` });
    expect(makeTrace(headers, "trusted", RANDOM).trusted).toBe(true);
  });

  it("of a later version goes on as one of this version", () => {
    expect(continued(`cc-${ID}-${PARENT}-01-more`).trace.parent).toBe(PARENT);
  });

  it.each([
    `00-${ID}-${PARENT}-01-more`,
    `ff-${ID}-${PARENT}-01`,
    `00-${"0".repeat(32)}-${PARENT}-01`,
    `00-${ID}-${"0".repeat(16)}-01`,
    `00-${ID.toUpperCase()}-${PARENT}-01`,
    `00-${ID}-${PARENT}-01, 00-${ID}-${PARENT}-01`,
    `00-${ID}-${PARENT}`,
    "x",
    "",
  ])("begins anew, without its state, when it comes as %j", traceparent => {
    const { trace, sent } = continued(traceparent, "a=b");
    expect(trace).toEqual({ traceparent: `00-${NEW.trace}-${NEW.span}-01` });
    expect(sent.tracestate).toBeUndefined();
  });

  it.each([
    "=b",
    "a",
    "A=b",
    "a=b,a=c",
    `a=${"b".repeat(600)}`,
    Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(),
  ])("goes on without a malformed state %j", tracestate => {
    const { trace, sent } = continued(`00-${ID}-${PARENT}-01`, tracestate);
    expect([trace.parent, sent.tracestate]).toEqual([PARENT, undefined]);
  });
});
