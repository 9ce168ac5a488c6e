import { type KeyObject, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Certificate } from "../upstream.ts";

/** An authority that lives as long as the test. */
export interface Authority {
  /** PEM, to be trusted. */
  readonly cert: string;
  /** A certificate for the names; valid for an hour unless `until` (Unix ms) says otherwise. */
  issue(names: readonly string[], until?: number): Certificate;
}

/** X.509 (RFC 5280) in DER, as little of it as TLS asks for: Node reads certificates but does not make them. */
export function createAuthority(): Authority {
  const own = keyPair();
  const name = nameOf("Keyway test authority");
  const cert = certify({
    subject: name,
    key: own.publicKey,
    extensions: [extension(basicConstraints, sequence(yes), true)],
  });

  function certify({ subject, key, extensions, until = Date.now() + 3_600_000 }: Request): string {
    const toBeSigned = sequence(
      der(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      ecdsaWithSha256,
      name,
      sequence(time(until - 7_200_000), time(until)),
      subject,
      key.export({ type: "spki", format: "der" }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", toBeSigned, own.privateKey);
    return toPem(sequence(toBeSigned, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature)));
  }

  return {
    cert,
    issue(names, until) {
      const { privateKey, publicKey } = keyPair();
      const alternatives = sequence(...names.map((one) => der(0x82, Buffer.from(one))));
      const extensions = [extension(subjectAltName, alternatives, false)];
      const leaf = certify({
        subject: nameOf(names[0] ?? ""),
        key: publicKey,
        extensions,
        ...(until === undefined ? {} : { until }),
      });
      return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert: leaf };
    },
  };
}

interface Request {
  readonly subject: Buffer;
  readonly key: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly until?: number;
}

function keyPair(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

function integer(bytes: Uint8Array): Buffer {
  return der(0x02, bytes);
}

function objectId(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

function extension(id: Buffer, value: Buffer, critical: boolean): Buffer {
  return sequence(id, ...(critical ? [yes] : []), der(0x04, value));
}

function nameOf(text: string): Buffer {
  return sequence(der(0x31, sequence(objectId("550403"), der(0x0c, Buffer.from(text)))));
}

function time(unix: number): Buffer {
  const digits = new Date(unix).toISOString().replace(/\D/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

function toPem(bytes: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

const yes = der(0x01, Buffer.from([0xff]));
const ecdsaWithSha256 = sequence(objectId("2a8648ce3d040302"));
const basicConstraints = objectId("551d13");
const subjectAltName = objectId("551d11");
