// What to do next: for whoever reads a verdict, by each code that one can carry, whose meaning is said beside the code
// itself; and for the operator, by each code with which an edge says that something is wrong with it.
import { FAULT_CODES, type FaultCode } from "../tlog/fault.ts";
import { UNDECIDED_CODES, type UndecidedCode } from "./outcome.ts";

const ADVICE: Readonly<Record<FaultCode | UndecidedCode, string>> = {
  malformed:
    "Fetch it again, byte for byte; if it stays so, whoever made it does not speak this format, or somebody has altered it.",
  unsupported:
    "Look for a newer version of this program; if there is none, ask the operator what has signed it.",
  "too-large": "Look at what the file is: it is not what it is taken for.",
  "unknown-key":
    "Ask the operator, by another way than this API, which keys are his, and get the trust document anew if they were replaced.",
  "key-not-valid":
    "Compare the time that it names with the validity of the key in your trust document, and ask the operator.",
  "bad-signature":
    "Get a second copy from elsewhere. If that fails in the same way, keep both: somebody has altered it.",
  "wrong-origin":
    "Look whether you named the right trust document and the right file; the message says which belongs to whom.",
  mismatched:
    "Look whether you compare the right response, method and URL, with the body as it crossed the wire. If you do, keep the receipt and the response: they contradict each other.",
  tampered:
    "Keep a copy of the archive as it is, tell the operator, and compare the named object with another copy.",
  "not-included":
    "Fetch the proof again. If it stays so, keep receipt and proof: the operator has signed a tree without your entry.",
  "broken-chain":
    "Keep a copy of the archive, and of the entry that is named: its ledger has signed two histories, or somebody has altered one.",
  misplaced: "Keep a copy of the archive: entries were moved, and the place says which.",
  "back-dated":
    "Keep a copy of the archive, and ask the operator: a ledger of Counterfoil takes no entry that is older than the last.",
  "ended-twice":
    "Keep a copy of the archive, and ask the caller for the receipt: it tells which ending the caller got. Somebody has added the other.",
  forked:
    "Keep everything, also what you had before: two signed trees prove misbehaviour to anybody. Tell the witnesses and others who hold receipts.",
  "rolled-back":
    "Keep what you have from before: it proves what the ledger was. Ask the operator whether a backup was put back.",
  truncated:
    "Ask the operator for what is missing, and keep your receipts and anchors of that time: they prove that it was there.",
  missing:
    "Ask again, and elsewhere; if it stays away, keep what names it. No record tells that it may be gone.",
  "broken-anchor-chain":
    "Keep the anchors on both sides of the break, and compare them with copies under a lock of somebody else.",
  "not-yet-included":
    "Wait as long as the operator promises, and ask again. When it never comes, your receipt is the proof.",
  pruned: "Nothing is wrong. Who needs the bytes asks whoever made a copy while they were there.",
  erased: "Nothing is wrong. Only somebody who had it opened before can tell the value.",
  "quorum-not-met": "Wait for more witnesses to cosign, and ask again; if they never do, ask them why.",
  "wrong-timestamp":
    "Keep the anchor: its timestamp was made for something else. Ask the operator how it got there.",
  "wrong-purpose":
    "Compare the authority's certificate in your trust document with what the authority publishes.",
  "broken-promise":
    "Keep the promise: it is signed, and with the archive it proves to anybody that it was broken.",
  "not-disclosed":
    "Look whether the value and its name are exactly those of the exchange; if they are, whoever gave you the disclosure made it up.",
  undecided: "Do what the message says, and ask again.",
  "wrong-input": "Give what the message asks for, and look at the help of the command.",
  "no-answer": "Look at the address and the network, and try again; what was done until then is kept.",
  "untrusted-host":
    "Look at the address, and at who answers there: its certificate may have expired, or something between opens TLS. If an authority of your own has issued it, name that: NODE_EXTRA_CA_CERTS=ca.pem.",
  "no-receipt":
    "Look whether the address is that of an API behind Counterfoil, and ask its operator why it is not on record.",
  "not-covered":
    "Where the ending is missing, fetch its receipt (counterfoil proof), and verify that. Else ask again, with no cache and no redirect between.",
};

/** What a code means, and what to do next: sentences for the person who reads it. */
export function explain(code: FaultCode | UndecidedCode): {
  readonly meaning: string;
  readonly advice: string;
} {
  const meaning =
    code in FAULT_CODES ? FAULT_CODES[code as FaultCode] : UNDECIDED_CODES[code as UndecidedCode];
  return { meaning, advice: ADVICE[code] };
}

/** What stands in a store is not what the edge has put there. */
const RESTORE = "compare the named object with a copy, and put back the bytes that the signed root asks for";

/** What an operator does about each code with which a ledger halts, or anchoring stops: docs/operations.md, "Health". */
export const WAYS_OUT: Readonly<Record<string, string>> = {
  "rolled-back":
    "restore the storage that was current (or the archive, if it is the archive that is old); or leave this ledger as it is, readable and provable, and name a new one in wrangler.toml",
  forked:
    "two trees contradict each other: find out which copy was altered or restored, put back the one that was anchored, and keep both for whoever investigates",
  missing: "put back what was deleted from the archive or the anchor store, from a copy",
  ...{ tampered: RESTORE, malformed: RESTORE, "bad-signature": RESTORE, "wrong-origin": RESTORE },
  "unknown-key":
    "a key was replaced that nobody was told of: name the one before in vars.retired_keys, or put it back (docs/operations.md, Keys); or somebody has put an anchor of their own into the bucket (In an anchor's place)",
  "key-not-valid":
    "what stands at the next epoch is signed by a retired key: if somebody has put it there, take it away; if the anchor writer's storage was put back, put the key of that time back (ANCHOR_KEY) until it has caught up, and replace it again",
  "broken-anchor-chain":
    "something stands in the next anchor's place that the edge has not put there: find out who can write to the anchor bucket, take that away from them, and see docs/operations.md, In an anchor's place",
  "quorum-not-met":
    "find out why witnesses have not cosigned (the log names each, with what it said): with required = true, what too few have cosigned is under no anchor",
  unavailable:
    "wait, or see to it that the disk has room and the archive can be reached: it is tried again by itself",
};

/** What an operator does about each alert, of which a person should know though records are taken: there as well. */
export const ALERTS: Readonly<Record<string, string>> = {
  unfinished:
    "an edge ended while these were under way, or they still are: look at its logs of that time; the records stay as evidence, and the alert ends after 30 days",
  "clock-behind":
    "set the clock right, or wait until it is there if it was ahead before; a ledger whose newest entry is more than 30 days ahead takes nothing before then: name a new one in wrangler.toml",
  spooled: "wait: the ledger enters them by itself; if it does not, look whether the archive can be reached",
  "promise-broken":
    "find out why the ledger does not take them (its state is above): callers hold signed promises that were not kept",
  "set-aside":
    "look at what lies in refused/ in the archive bucket, and move back what should be tried again",
  unopened:
    "an edge ended before it had sent what opens these, or could not: the log of the ledger names them; their callers can open them still, with the seeds that they were given; the alert ends when the values come, or after 30 days",
  unavailable: "see to it that what is named can be reached",
};

/** @param advice WAYS_OUT or ALERTS. An edge newer than this program may have codes that are in neither. */
export function adviseOperator(advice: Readonly<Record<string, string>>, code: string): string {
  return advice[code] ?? `see docs/operations.md, Health, of the edge's own version, on "${code}"`;
}
