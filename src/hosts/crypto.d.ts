// The part of Node's crypto module that workerd has as well (nodejs_compat) and that is used there. Node's own types
// would make all of its globals known to files that run where there are none.
declare module "node:crypto" {
  export function createHash(algorithm: "sha256"): { update(bytes: Uint8Array): { digest(): Uint8Array } };
}
