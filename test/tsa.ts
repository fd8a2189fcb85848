// A timestamp authority that nobody here wrote: `openssl ts`, behind a small HTTP server, with keys and
// certificates that openssl makes as well.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

/** What an authority's certificate is to say. */
export interface Kind {
  /** For `openssl genpkey`. */
  readonly key?: "rsa" | "p256" | "p384" | "ed25519";
  readonly digest?: "sha256" | "sha384" | "sha512";
  readonly name?: string;
  /** The extensions of the certificate, instead of the right ones. */
  readonly extensions?: string;
  /** From and until when it is valid, as openssl writes it. */
  readonly validity?: readonly [from: string, until: string];
}

export interface Tsa {
  /** In DER: the authority's own certificate, and that of its issuer. */
  readonly certificate: Uint8Array;
  readonly issuer: Uint8Array;
  /** Answers a timestamp request. */
  reply(request: Uint8Array): Uint8Array;
  readonly folder: string;
}

const KEYS = {
  rsa: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  p384: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
  ed25519: ["-algorithm", "ED25519"],
} as const;

const RIGHT = "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n";
const ISSUER = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";

const folders: string[] = [];

/** Makes an authority, with an issuer of its own. */
export function makeTsa(kind: Kind = {}): Tsa {
  const { key = "p256", digest = "sha256", name = "Example TSA", extensions = RIGHT } = kind;
  const [from, until] = kind.validity ?? ["20200101000000Z", "20991231235959Z"];
  const folder = mkdtempSync(join(tmpdir(), "counterfoil-tsa-"));
  folders.push(folder);
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  write(
    "ca.cnf",
    `[ca]\ndatabase=index.txt\nnew_certs_dir=.\nserial=ca.serial\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n[issuer]\n${ISSUER}[tsa]\n${extensions}`,
  );
  write("index.txt", "");
  write("ca.serial", "1001\n");
  write("tsa.serial", "01\n");
  write(
    "tsa.cnf",
    "[tsa]\ndefault_tsa=it\n[it]\nserial=tsa.serial\ndefault_policy=1.2.3.4\ndigests=sha256,sha384,sha512\naccuracy=secs:1\nordering=no\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n",
  );
  const years = ["-startdate", "20200101000000Z", "-enddate", "20991231235959Z"];
  const sign = ["ca", "-batch", "-notext", "-config", "ca.cnf", "-name", "ca", "-keyfile", "ca.key"];
  openssl("genpkey", ...KEYS.p256, "-out", "ca.key");
  openssl("genpkey", ...KEYS[key], "-out", "tsa.key");
  openssl(
    "req",
    "-new",
    "-config",
    "ca.cnf",
    "-key",
    "ca.key",
    "-subj",
    `/CN=${name} issuer`,
    "-out",
    "ca.csr",
  );
  openssl(...sign, "-selfsign", ...years, "-extensions", "issuer", "-in", "ca.csr", "-out", "ca.pem");
  openssl("req", "-new", "-config", "ca.cnf", "-key", "tsa.key", "-subj", `/CN=${name}`, "-out", "tsa.csr");
  openssl(
    ...sign,
    ...["-cert", "ca.pem", "-startdate", from, "-enddate", until, "-extensions", "tsa"],
    ...["-in", "tsa.csr", "-out", "tsa.pem"],
  );
  const der = (pem: string) => new Uint8Array(openssl("x509", "-in", pem, "-outform", "DER"));
  return {
    folder,
    certificate: der("tsa.pem"),
    issuer: der("ca.pem"),
    reply(request) {
      writeFileSync(join(folder, "request.tsq"), request);
      openssl(
        ...["ts", "-reply", "-config", "tsa.cnf", "-section", "it", "-queryfile", "request.tsq"],
        ...["-signer", "tsa.pem", "-inkey", "tsa.key", `-${digest}`, "-chain", "ca.pem", "-out", "reply.tsr"],
      );
      return new Uint8Array(readFileSync(join(folder, "reply.tsr")));
    },
  };
}

/** Serves an authority over HTTP. `answer` may put something else in the place of its answer. */
export async function serveTsa(
  tsa: Tsa,
  answer: (
    reply: () => Uint8Array,
  ) => { status?: number; type?: string; body: Uint8Array } | undefined = reply => ({
    body: reply(),
  }),
): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", chunk => chunks.push(chunk));
    request.on("end", () => {
      const given = answer(() => tsa.reply(new Uint8Array(Buffer.concat(chunks))));
      // No answer at all: the client has to give up by itself.
      if (given === undefined) return;
      const { status = 200, type = "application/timestamp-reply", body } = given;
      response.writeHead(status, { "content-type": type, location: "/elsewhere" }).end(body);
    });
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tsr`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Removes what was made. */
export function removeTsas(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
}
