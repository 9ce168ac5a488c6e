import { type KeyObject, createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Certificate } from "./upstream.ts";

/** Certificates made for one test run: X.509 (RFC 5280) written by hand, so that nothing has to be installed or kept in files. */
export interface Authority {
  /** What to trust. */
  readonly cert: string;
  /** A server certificate; dates are relative to now, in hours. */
  readonly issue: (names: readonly string[], hours?: { readonly from: number; readonly until: number }) => Certificate;
}

export function createAuthority(): Authority {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = { names: [], issuer: pair.privateKey, subject: pair.publicKey, from: -1, until: 24 };
  return {
    cert: toPem(certificate({ ...own, authority: true, selfNamed: false })),
    issue(names, { from, until } = { from: -1, until: 24 }) {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const der = certificate({
        names,
        issuer: pair.privateKey,
        subject: publicKey,
        from,
        until,
        authority: false,
        selfNamed: false,
      });
      return { cert: toPem(der), key: toText(privateKey) };
    },
  };
}

/** A certificate that vouches for itself. */
export function selfSigned(names: readonly string[]): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = { names, issuer: privateKey, subject: publicKey, from: -1, until: 24, authority: false, selfNamed: true };
  return { cert: toPem(certificate(own)), key: toText(privateKey) };
}

interface Fields {
  readonly names: readonly string[];
  readonly issuer: KeyObject;
  readonly subject: KeyObject;
  readonly from: number;
  readonly until: number;
  readonly authority: boolean;
  readonly selfNamed: boolean;
}

const oid = {
  commonName: [0x55, 0x04, 0x03],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  subjectAltName: [0x55, 0x1d, 0x11],
  subjectKeyIdentifier: [0x55, 0x1d, 0x0e],
  authorityKeyIdentifier: [0x55, 0x1d, 0x23],
};

function certificate({ names, issuer, subject, from, until, authority, selfNamed }: Fields): Buffer {
  const algorithm = sequence(der(0x06, oid.ecdsaWithSha256));
  const own = nameOf(authority ? "Test authority" : (names[0] ?? "nobody"));
  const extensions = [
    critical(oid.basicConstraints, sequence(...(authority ? [der(0x01, [0xff])] : []))),
    critical(oid.keyUsage, der(0x03, authority ? [2, 0x04] : [7, 0x80])), // certificates are signed, or handshakes
    extension(oid.subjectKeyIdentifier, der(0x04, keyIdOf(subject))),
    extension(oid.authorityKeyIdentifier, sequence(der(0x80, keyIdOf(createPublicKey(issuer))))),
    ...(names.length === 0
      ? []
      : [extension(oid.subjectAltName, sequence(...names.map((name) => der(0x82, Buffer.from(name)))))]),
  ];
  const body = sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, [0x01, ...randomBytes(8)]),
    algorithm,
    selfNamed ? own : nameOf("Test authority"),
    sequence(timeOf(from), timeOf(until)),
    own,
    subject.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", body, { key: issuer, dsaEncoding: "der" });
  return sequence(body, algorithm, der(0x03, [0, ...signature]));
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(der(0x06, oid.commonName), der(0x0c, Buffer.from(commonName)))));
}

function timeOf(hours: number): Buffer {
  const text = new Date(Date.now() + hours * 3_600_000).toISOString().replace(/[-:T]|\.\d+/g, "");
  return der(0x18, Buffer.from(text));
}

function extension(id: readonly number[], value: Buffer): Buffer {
  return sequence(der(0x06, id), der(0x04, value));
}

/** Strict readers, such as Python 3.13, want these two marked so. */
function critical(id: readonly number[], value: Buffer): Buffer {
  return sequence(der(0x06, id), der(0x01, [0xff]), der(0x04, value));
}

function keyIdOf(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

/** Tag, length, value (ITU-T X.690). */
function der(tag: number, value: Uint8Array | readonly number[]): Buffer {
  const bytes = Buffer.from(value);
  const { length } = bytes;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), bytes]);
}

function toPem(bytes: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${bytes.toString("base64")}\n-----END CERTIFICATE-----\n`;
}

function toText(key: KeyObject): string {
  return String(key.export({ type: "pkcs8", format: "pem" }));
}
