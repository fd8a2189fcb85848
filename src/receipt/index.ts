// The package's `counterfoil/verify`: everything that checks evidence, down to the policy about witnesses. It asks
// nobody anything, and is small enough for any page (`npm run bundle` holds it to that).

export { openCheckpoint } from "../tlog/checkpoint.ts";
export type { Cosignature } from "../tlog/cosignature.ts";
export { makeVerifier, openCosignatures } from "../tlog/cosignature.ts";
export type { FaultCode, FaultDetail } from "../tlog/fault.ts";
export { FAULT_CODES, Fault } from "../tlog/fault.ts";
export { meetsQuorum, parsePolicy } from "../tlog/policy.ts";
export { parseProof } from "../tlog/proof.ts";
export { checkConsistency, checkInclusion } from "../tlog/tree.ts";
export type { Anchor } from "./anchor.ts";
export { openAnchor } from "./anchor.ts";
export type { Disclosed } from "./disclosure.ts";
export { openDisclosure, parseSeed } from "./disclosure.ts";
export type { SeenExchange } from "./match.ts";
export type { Receipt } from "./receipt.ts";
export { parseReceipt } from "./receipt.ts";
export type { Trust } from "./trust.ts";
export { parseTrust } from "./trust.ts";
export type { Evidence, Rung, Verdict } from "./verify.ts";
export { RUNGS, verifyEvidence } from "./verify.ts";
