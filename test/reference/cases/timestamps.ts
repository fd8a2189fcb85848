// Vectors of timestamps (RFC 3161): what a token must be to be believed, and why each other one is not.

import { base64, concat, hex, sha256, utf8 } from "../note.ts";
import {
  authority,
  type Cert,
  type CertKey,
  certificate,
  ecdsaWith,
  ed25519CertKey,
  extension,
  hashId,
  NULL,
  oid,
  p256Key,
  purposes,
  rsaKey,
  sequence,
  type TokenParts,
  token,
  tstInfo,
  usage,
} from "../timestamp.ts";
import { accepted, type Case, type JsonObject, refused, repeated } from "./case.ts";

type Bytes = Uint8Array;

const DIGEST = sha256(utf8("an anchor"));
const KEY = p256Key("counterfoil test: timestamps");
const ROOT_KEY = p256Key("counterfoil test: root of timestamps");
const MIDDLE_KEY = p256Key("counterfoil test: issuer of timestamps");
const STRANGER_KEY = p256Key("counterfoil test: stranger's timestamps");

const CA = [authority(), usage(0x04)];
const ROOT = certificate({ name: "Example Root", key: ROOT_KEY, extensions: CA });
const MIDDLE = certificate({ name: "Example Issuer", key: MIDDLE_KEY, issuer: ROOT, extensions: CA });

/** The authority of most vectors: its certificate is its own. */
export const TSA = certificate({ name: "Example TSA", key: KEY, issuer: ROOT });
const BELOW = certificate({ name: "Example TSA", key: KEY, issuer: MIDDLE });
const STRANGER = certificate({ name: "Example TSA", key: STRANGER_KEY });

const SEEN = { time: "2026-11-21T05:23:00.000Z", by: "Example TSA" };

function check(bytes: Bytes, trusted: readonly Cert[], changes: JsonObject = {}): JsonObject {
  return {
    token: hex(bytes),
    digest: hex(DIGEST),
    certificates: trusted.map(cert => base64(cert.bytes)),
    ...changes,
  };
}

function made(parts: Partial<TokenParts> = {}): Bytes {
  return token({ signer: TSA, imprint: DIGEST, ...parts });
}

function good(
  name: string,
  description: string,
  parts: Partial<TokenParts>,
  trusted: readonly Cert[],
  output: JsonObject = SEEN,
): Case {
  return accepted(name, description, check(made(parts), trusted), output);
}

function bad(
  name: string,
  code: string,
  description: string,
  parts: Partial<TokenParts>,
  trusted: readonly Cert[] = [TSA],
): Case {
  return refused(name, code, description, check(made(parts), trusted));
}

/** By an authority of another kind of key. */
function by(name: string, description: string, key: CertKey): Case {
  const signer = certificate({ name: "Example TSA", key });
  return good(`by-${name}`, description, { signer }, [signer]);
}

/** By an authority whose certificate is otherwise. */
function badCert(
  name: string,
  code: string,
  description: string,
  parts: Partial<Parameters<typeof certificate>[0]>,
): Case {
  const signer = certificate({ name: "Example TSA", key: KEY, issuer: ROOT, ...parts });
  return bad(`certificate-${name}`, code, description, { signer, certificates: [signer] }, [ROOT]);
}

/** By an authority whose issuer is otherwise. */
function badIssuer(
  name: string,
  code: string,
  description: string,
  parts: Partial<Parameters<typeof certificate>[0]>,
): Case {
  const issuer = certificate({ name: "Example Issuer", key: MIDDLE_KEY, extensions: CA, ...parts });
  const signer = certificate({ name: "Example TSA", key: KEY, issuer });
  return bad(`issuer-${name}`, code, description, { signer, certificates: [signer] }, [issuer]);
}

const TOKEN = made();
const SERVER = "1.3.6.1.5.5.7.3.1";
const STAMPING = "1.3.6.1.5.5.7.3.8";

/** The outermost length in the form of BER that tells no length. */
function indefinite(bytes: Bytes): Bytes {
  return concat(Uint8Array.of(0x30, 0x80), bytes.subarray(4), Uint8Array.of(0, 0));
}

export const timestampCases: readonly Case[] = [
  good("plain", "A token of a trusted authority is believed.", {}, [TSA]),
  by("rsa", "RSA with SHA-256 is believed.", rsaKey("counterfoil test: RSA timestamps")),
  by(
    "rsa-sha512",
    "RSA with SHA-512 is believed.",
    rsaKey("counterfoil test: RSA timestamps", { hash: "sha512" }),
  ),
  by(
    "rsa-named-by-key",
    "RSA that is named by its key takes the hash of the digest (RFC 3370).",
    rsaKey("counterfoil test: RSA timestamps", { scheme: "named" }),
  ),
  by(
    "ed25519",
    "Ed25519 beside SHA-512 is believed (RFC 8419).",
    ed25519CertKey("counterfoil test: Ed25519 timestamps"),
  ),
  good(
    "by-rsa-pss",
    "RSASSA-PSS with one hash and a salt of its length is believed.",
    {
      signer: certificate({
        name: "Example TSA",
        key: rsaKey("counterfoil test: RSA timestamps", { scheme: "pss" }),
      }),
    },
    [
      certificate({
        name: "Example TSA",
        key: rsaKey("counterfoil test: RSA timestamps", { scheme: "pss" }),
      }),
    ],
  ),
  good("carrying-certificate", "A token may carry its signer's certificate.", { certificates: [TSA] }, [TSA]),
  good(
    "issued-by-trusted",
    "An authority may be known by who issued its certificate.",
    { certificates: [TSA] },
    [ROOT],
  ),
  good(
    "issued-through-another",
    "A token may carry the certificates that lead to a trusted one.",
    { signer: BELOW, certificates: [BELOW, MIDDLE] },
    [ROOT],
  ),
  good("carrying-root", "A token may carry the trusted root as well.", { certificates: [TSA, ROOT] }, [ROOT]),
  good(
    "with-fraction",
    "Of a fraction of a second, milliseconds are kept.",
    { time: "20261121052300.1234Z" },
    [TSA],
    { ...SEEN, time: "2026-11-21T05:23:00.123Z" },
  ),
  accepted(
    "with-nonce",
    "A token that answers a request has its nonce.",
    check(made({ nonce: Uint8Array.of(0x80, 1) }), [TSA], { nonce: "8001" }),
    SEEN,
  ),
  refused("nonce-other", "malformed", "A token with another nonce answers another request.", {
    ...check(made({ nonce: Uint8Array.of(0x80, 2) }), [TSA], { nonce: "8001" }),
  }),
  refused("nonce-missing", "malformed", "A token without the nonce answers no request.", {
    ...check(TOKEN, [TSA], { nonce: "8001" }),
  }),
  good(
    "in-last-second",
    "A certificate is valid in its last second.",
    {
      signer: certificate({ name: "Example TSA", key: KEY, until: "20261121052300Z" }),
      time: "20261121052300.5Z",
    },
    [certificate({ name: "Example TSA", key: KEY, until: "20261121052300Z" })],
    {
      ...SEEN,
      time: "2026-11-21T05:23:00.500Z",
    },
  ),

  bad("digest-other", "wrong-timestamp", "A token of another digest is refused.", {
    imprint: sha256(utf8("another")),
  }),
  bad("key-unknown", "unknown-key", "A token of an authority that is not trusted is refused.", {}, [
    STRANGER,
  ]),
  bad(
    "key-unknown-carried",
    "unknown-key",
    "That a token carries its certificate makes nobody trust it.",
    {
      certificates: [TSA, ROOT],
    },
    [STRANGER],
  ),
  bad(
    "key-none-trusted",
    "unknown-key",
    "Whoever trusts no authority believes no token.",
    { certificates: [TSA] },
    [],
  ),
  bad("key-other", "bad-signature", "Another key's signature in an authority's name is refused.", {
    key: STRANGER_KEY,
  }),
  bad("content-other", "bad-signature", "A token that shows another content than was signed is refused.", {
    shown: tstInfo({ imprint: DIGEST, time: "20200101000000Z" }),
  }),
  bad(
    "certificate-named-other",
    "unknown-key",
    "A token names its signer's certificate by its hash (RFC 5816).",
    {
      named: sha256(STRANGER.bytes),
    },
  ),
  badCert("expired", "key-not-valid", "A token from after its certificate had expired is refused.", {
    until: "20261121052259Z",
  }),
  badCert("not-yet-valid", "key-not-valid", "A token from before its certificate was valid is refused.", {
    from: "20261121052301Z",
  }),
  badCert("without-purpose", "wrong-purpose", "A certificate that is not for timestamps makes none.", {
    extensions: [usage(0x80)],
  }),
  badCert("for-servers", "wrong-purpose", "A web server's certificate makes no timestamps.", {
    extensions: [purposes([SERVER])],
  }),
  badCert(
    "for-servers-too",
    "wrong-purpose",
    "A certificate for timestamps is for nothing else (RFC 3161).",
    {
      extensions: [purposes([STAMPING, SERVER])],
    },
  ),
  badCert(
    "purpose-not-critical",
    "wrong-purpose",
    "The purpose of a certificate for timestamps is critical.",
    {
      extensions: [purposes([STAMPING], false)],
    },
  ),
  badCert("usage-other", "wrong-purpose", "A certificate whose key may not sign makes no timestamps.", {
    extensions: [purposes(), usage(0x20)],
  }),
  badCert("critical-extension", "unsupported", "A critical extension that is not known is not passed over.", {
    extensions: [purposes(), extension("1.2.3.4", NULL)],
  }),
  badIssuer("expired", "key-not-valid", "A certificate whose issuer had expired is worth nothing.", {
    until: "20261101000000Z",
  }),
  badIssuer("no-authority", "wrong-purpose", "A certificate that may issue none has issued none.", {
    extensions: [usage(0x04)],
  }),
  badIssuer("may-not-sign-certificates", "wrong-purpose", "An issuer's key may sign certificates.", {
    extensions: [authority(), usage(0x80)],
  }),
  bad(
    "issuer-too-deep",
    "wrong-purpose",
    "An issuer that may have no issuer below it has none.",
    {
      ...(() => {
        const top = certificate({
          name: "Flat Root",
          key: ROOT_KEY,
          extensions: [authority(0), usage(0x04)],
        });
        const middle = certificate({ name: "Example Issuer", key: MIDDLE_KEY, issuer: top, extensions: CA });
        const signer = certificate({ name: "Example TSA", key: KEY, issuer: middle });
        return { signer, certificates: [signer, middle] };
      })(),
    },
    [certificate({ name: "Flat Root", key: ROOT_KEY, extensions: [authority(0), usage(0x04)] })],
  ),
  bad(
    "issuer-name-borrowed",
    "unknown-key",
    "A trusted issuer's name is not its signature.",
    {
      ...(() => {
        const signer = certificate({ name: "Example TSA", key: KEY, issuer: { ...ROOT, key: STRANGER_KEY } });
        return { signer, certificates: [signer] };
      })(),
    },
    [ROOT],
  ),
  bad("digest-sha1", "unsupported", "A token that digests with SHA-1 is refused.", {
    digestId: hashId("sha1"),
  }),
  bad("digest-two", "unsupported", "Digest and signature agree on the hash.", {
    algorithm: ecdsaWith("sha384"),
  }),
  bad("algorithm-sha1", "unsupported", "A signature with SHA-1 is refused.", {
    algorithm: sequence(oid("1.2.840.113549.1.1.5"), NULL),
  }),
  bad("algorithm-of-other-key", "unsupported", "An algorithm must fit the key.", {
    algorithm: sequence(oid("1.2.840.113549.1.1.11"), NULL),
  }),
  bad("algorithm-with-parameters", "unsupported", "ECDSA has no parameters.", {
    algorithm: sequence(oid("1.2.840.10045.4.3.2"), NULL),
  }),
  bad(
    "rsa-of-1024-bits",
    "unsupported",
    "An RSA key of 1024 bits is refused.",
    {
      signer: certificate({
        name: "Example TSA",
        key: rsaKey("counterfoil test: short", { bitLength: 1024 }),
      }),
    },
    [certificate({ name: "Example TSA", key: rsaKey("counterfoil test: short", { bitLength: 1024 }) })],
  ),
  bad("imprint-sha512", "malformed", "The imprint is a SHA-256.", { imprintId: hashId("sha512") }),
  bad("content-type-data", "malformed", "Signed data of another type is no token.", {
    infoType: "1.2.840.113549.1.7.1",
  }),
  bad("content-type-signed-other", "malformed", "The signed content type is that of the content.", {
    signedType: "1.2.840.113549.1.7.1",
  }),
  ...(["contentType", "messageDigest", "signingCertificate"] as const).map(leftOut =>
    bad(`attribute-${leftOut}-missing`, "malformed", `A token has a signed attribute ${leftOut}.`, {
      leftOut,
    }),
  ),
  bad("attributes-unsigned", "malformed", "What nobody has signed is not carried along.", {
    unsigned: sequence(oid("1.2.3.4")),
  }),
  bad("certificate-extra", "malformed", "A token carries no certificate that leads nowhere.", {
    certificates: [TSA, STRANGER],
  }),
  bad("signers-two", "malformed", "A token has one signer.", { signers: 2 }),
  bad("version-1", "malformed", "A token has version 3.", { version: 1 }),
  bad("time-without-zone", "malformed", "The time is in UTC.", { time: "20261121052300" }),
  bad("time-no-such-day", "malformed", "The time is a real one.", { time: "20260231052300Z" }),
  bad("time-zero-fraction", "malformed", "A fraction does not end in a zero.", {
    time: "20261121052300.10Z",
  }),
  refused(
    "indefinite-length",
    "malformed",
    "BER's other spellings are refused.",
    check(indefinite(TOKEN), [TSA]),
  ),
  refused(
    "trailing-byte",
    "malformed",
    "Nothing follows a token.",
    check(concat(TOKEN, Uint8Array.of(0)), [TSA]),
  ),
  refused(
    "cut-off",
    "malformed",
    "A token that was cut off is refused.",
    check(TOKEN.subarray(0, -1), [TSA]),
  ),
  refused("empty", "malformed", "Nothing is no token.", check(new Uint8Array(), [TSA])),
  refused("certificate", "malformed", "A certificate is no token.", check(TSA.bytes, [TSA])),
  refused("nested-deeply", "malformed", "A thousand values in each other are no token.", {
    ...check(TOKEN, [TSA]),
    token: repeated("3080", 1000),
  }),
  refused("too-large", "too-large", "A token larger than any honest one is refused.", {
    ...check(TOKEN, [TSA]),
    token: repeated("30", 16_385),
  }),
];
