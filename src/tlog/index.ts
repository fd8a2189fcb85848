// The package's `counterfoil/tlog`: the formats of transparency logs, for those who read a ledger or another log with
// tools of their own. RFC 6962 trees; C2SP signed notes, checkpoints, tiles, proofs, cosignatures, policies.
export * from "./bundle.ts";
export * from "./checkpoint.ts";
export * from "./cosignature.ts";
export * from "./fault.ts";
export * from "./note.ts";
export * from "./policy.ts";
export * from "./proof.ts";
export * from "./reader.ts";
export * from "./tile.ts";
export * from "./tree.ts";
export * from "./witness.ts";
