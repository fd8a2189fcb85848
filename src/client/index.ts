// The package `counterfoil`: what a client does with receipts. Everything that it needs of a platform is what the
// Web has: fetch, streams, WebCrypto. `counterfoil/verify` is the verifier alone, without a network.

export type { Disclosed } from "../receipt/disclosure.ts";
export { disclose, parseSeed } from "../receipt/disclosure.ts";
export type { SeenExchange } from "../receipt/match.ts";
export type { Receipt } from "../receipt/receipt.ts";
export type { AuditRecord } from "../receipt/record.ts";
export type { Trust } from "../receipt/trust.ts";
export { formatTrust } from "../receipt/trust.ts";
export type { Rung, Verdict } from "../receipt/verify.ts";
export type { FaultCode } from "../tlog/fault.ts";
export { Fault } from "../tlog/fault.ts";
export type { ExchangeReport, ReceiptOptions } from "./fetch.ts";
export { withReceipts } from "./fetch.ts";
export type { Store } from "./memory.ts";
export type { Monitor, MonitorOptions, Sighting } from "./monitor.ts";
export { createMonitor } from "./monitor.ts";
export type { Failure, UndecidedCode } from "./outcome.ts";
export { describeFailure, Undecided } from "./outcome.ts";
export type { FetchedProof } from "./proof.ts";
export type { ExchangeVerdict, NetworkOptions, ReceiptEvidence } from "./sdk.ts";
export { createTrust, fetchProof, openDisclosure, verifyExchange, verifyReceipt } from "./sdk.ts";
export type { Fetch } from "./sender.ts";
