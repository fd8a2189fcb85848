// Trace context (W3C, level 1): a trace that comes with a request is continued and one that does not is begun, with
// this edge as a span of its own. Who sent the parent is told: a client may claim any.
import { bytesToHex } from "@noble/hashes/utils.js";

/** What a record says of the trace. */
export interface Trace {
  /** The traceparent that the upstream gets. */
  readonly traceparent: string;
  /** The span id that came with the request; left out when the trace begins here. */
  readonly parent?: string;
  /** Whether the route trusts whoever sent the parent. */
  readonly trusted?: boolean;
}

const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** The longest tracestate that is passed on, in characters, and the most members in it. */
const STATE_LENGTH_MAX = 512;
const STATE_MEMBERS_MAX = 32;

const STATE_MEMBER =
  /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** @param random 24 random bytes: a trace id and a span id. */
export function makeTrace(headers: Headers, tracing: "untrusted" | "trusted", random: Uint8Array): Trace {
  const hex = bytesToHex(random);
  const span = hex.slice(32, 48);
  const came = parseTraceparent(headers.get("traceparent"));
  // The edge records every exchange, so a trace that begins here is one that is recorded.
  if (came === undefined) return { traceparent: `00-${hex.slice(0, 32)}-${span}-01` };
  const { id, parent, flags } = came;
  return { traceparent: `00-${id}-${span}-${flags}`, parent, trusted: tracing === "trusted" };
}

/** Sets the fields that the upstream gets. */
export function setTrace(headers: Headers, trace: Trace): void {
  headers.set("traceparent", trace.traceparent);
  // The state belongs to the parent: it says nothing without it, and is dropped when it is malformed.
  if (trace.parent === undefined || !isTracestate(headers.get("tracestate") ?? ""))
    headers.delete("tracestate");
}

function parseTraceparent(text: string | null) {
  const match = TRACEPARENT.exec(text ?? "");
  if (match === null || (text!.startsWith("00-") && text!.length !== 55)) return undefined;
  const [, id, parent, flags] = match as unknown as [string, string, string, string];
  // Of the flags, level 1 knows only that somebody before may have recorded the trace.
  return { id, parent, flags: Number.parseInt(flags, 16) & 1 ? "01" : "00" };
}

function isTracestate(text: string): boolean {
  const members = text
    .split(",")
    .map(member => member.trim())
    .filter(member => member !== "");
  const keys = members.map(member => member.split("=")[0]);
  return (
    text.length <= STATE_LENGTH_MAX &&
    members.length <= STATE_MEMBERS_MAX &&
    members.every(member => STATE_MEMBER.test(member)) &&
    new Set(keys).size === keys.length
  );
}
