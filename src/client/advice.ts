// What to do next, for every code that a verdict can carry: what it means is said beside the code itself.
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
