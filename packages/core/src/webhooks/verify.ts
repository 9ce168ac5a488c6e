import type { HeaderList } from "../head.ts";
import { fromHex, toHex } from "../hex.ts";
import { isSigned } from "./ed25519.ts";
import { type KeySet, type KeySetFetcher, usableKeys } from "./key-set.ts";

/** Why a delivery is not believed. For logs: the sender must not learn it. */
export type VerifyFailure =
  | "header_missing"
  | "header_repeated"
  | "header_invalid"
  | "timestamp_invalid"
  | "timestamp_outside_window"
  | "signature_invalid"
  | "signature_wrong"
  | "keys_unavailable";

/** What a delivery's signature vouches for. */
export interface SignedDelivery {
  /** fal's own request id. */
  readonly requestId: string;
  /** The fal account whose request it was. One key set signs for all accounts. */
  readonly userId: string;
  /** Unix time in seconds at which it was signed. */
  readonly timestamp: number;
}

export type Verified =
  | ({ readonly ok: true } & SignedDelivery)
  | { readonly ok: false; readonly reason: VerifyFailure; readonly cause?: unknown };

/** Header lines as any host gives them. */
export type HeadersInput = Headers | HeaderList | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What {@link verifyWebhook} looks at. */
export interface VerifyOptions {
  readonly headers: HeadersInput;
  /** The raw bytes as they came; a parsed body written again has other bytes. */
  readonly body: Uint8Array | ArrayBuffer;
  /** fal's key set, or what fetches it: see `createJwks`. */
  readonly jwks: KeySet | KeySetFetcher;
  /** Unix time in seconds. Default: the clock. */
  readonly now?: number;
}

/** Seconds that a timestamp may be off, either way (fal docs, webhooks). */
const tolerance = 300;
const encoder = new TextEncoder();

/**
 * Verifies a webhook of fal.ai: Ed25519 over request id, user id, timestamp and SHA-256 of the raw body (fal docs, webhooks). Says only
 * that fal sent it, for whichever account: whether the request was yours is for the caller to check. Never rejects.
 *
 * @example
 * const jwks = createJwks();
 * const verified = await verifyWebhook({ headers: request.headers, body: await request.arrayBuffer(), jwks });
 * if (!verified.ok) return new Response(null, { status: 401 });
 */
export async function verifyWebhook({ headers, body, jwks, now }: VerifyOptions): Promise<Verified> {
  const read = readSigned(headers, now ?? Date.now() / 1000);
  return read.ok ? verifySigned(read, body, jwks) : read;
}

/** The four headers, spelled right and in time. */
export interface SignedHeaders extends SignedDelivery {
  readonly ok: true;
  readonly signature: Uint8Array<ArrayBuffer>;
}

/** Reads what can be refused before the body is. */
export function readSigned(headers: HeadersInput, now: number): SignedHeaders | (Verified & { readonly ok: false }) {
  const values = names.map((name) => valuesOf(headers, name));
  if (values.some((found) => found.length > 1 || found[0]?.includes(",") === true)) return refuse("header_repeated");
  if (values.some((found) => found[0] === undefined || found[0] === "")) return refuse("header_missing");
  const [requestId = "", userId = "", time = "", hex = ""] = values.map((found) => found[0]);
  if (!idSyntax.test(requestId) || !idSyntax.test(userId)) return refuse("header_invalid");
  if (!/^[1-9][0-9]{0,11}$/.test(time)) return refuse("timestamp_invalid");
  const timestamp = Number(time);
  if (!(Math.abs(now - timestamp) <= tolerance)) return refuse("timestamp_outside_window");
  const signature = fromHex(hex, 64);
  return signature === undefined ? refuse("signature_invalid") : { ok: true, requestId, userId, timestamp, signature };
}

/** Tries every key, because a delivery does not name its own; asks for newer keys once when none is right. */
export async function verifySigned(
  { requestId, userId, timestamp, signature }: SignedHeaders,
  body: Uint8Array | ArrayBuffer,
  jwks: KeySet | KeySetFetcher,
): Promise<Verified> {
  const bytes = new Uint8Array(body);
  const hash = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  const message = encoder.encode(`${requestId}\n${userId}\n${timestamp}\n${hash}`);
  const right = async (set: unknown): Promise<boolean> => {
    for (const key of await usableKeys(set)) if (await isSigned(key, signature, message)) return true;
    return false;
  };
  const signed = { ok: true, requestId, userId, timestamp } as const;
  if (typeof jwks !== "function") return (await right(jwks)) ? signed : refuse("signature_wrong");
  try {
    const first = await jwks({ refresh: false });
    if (await right(first)) return signed;
    const newer = await jwks({ refresh: true });
    return newer !== first && (await right(newer)) ? signed : refuse("signature_wrong");
  } catch (cause) {
    return { ok: false, reason: "keys_unavailable", cause };
  }
}

const names = [
  "x-fal-webhook-request-id",
  "x-fal-webhook-user-id",
  "x-fal-webhook-timestamp",
  "x-fal-webhook-signature",
] as const;

/** Visible characters only: a line break would move the borders of the signed lines. */
const idSyntax = /^[\x21-\x7e]{1,256}$/;

function refuse(reason: VerifyFailure): Verified & { readonly ok: false } {
  return { ok: false, reason };
}

function valuesOf(headers: HeadersInput, name: string): string[] {
  if (headers instanceof Headers) return [headers.get(name)].filter((value) => value !== null);
  const lines: readonly (readonly [string, unknown])[] = isList(headers) ? headers : Object.entries(headers);
  return lines
    .filter(([key]) => key.toLowerCase() === name)
    .flatMap(([, value]) => value)
    .filter((value) => typeof value === "string");
}

function isList(headers: Exclude<HeadersInput, Headers>): headers is HeaderList {
  return Array.isArray(headers);
}
