import type { Call } from "./call.ts";
import { ProxyError } from "./errors.ts";
import { type HeaderList, valueOf } from "./head.ts";
import { toHex } from "./hex.ts";
import type { Settings } from "./options.ts";
import type { Answer, Door } from "./seam.ts";

/** A submit whose caller went away before the answer: kept a while, so that repeating it does not enqueue a second job. */
interface Entry {
  readonly digest: string;
  /** Undefined while the first submit is still under way. */
  readonly answer: { readonly status: number; readonly headers: HeaderList; readonly body: string } | undefined;
}

const keptFor = 60_000;
const lookEvery = 200;

/**
 * What of a submit makes it the same submit: the endpoint with its query, without a webhook of the app's, and the body or the
 * caller's Idempotency-Key. Undefined where nothing does.
 */
export async function digestOf(
  { call, door }: { readonly call: Call; readonly door: Door },
  query: string | null,
  body: "stream" | Uint8Array | null,
): Promise<string | undefined> {
  const idempotencyKey = valueOf(door.head.headers, "idempotency-key");
  const whole = body instanceof Uint8Array ? body : undefined;
  if (idempotencyKey === undefined && whole === undefined) return undefined;
  const head = new TextEncoder().encode(JSON.stringify([`${call.endpoint}?${query ?? ""}`, idempotencyKey ?? null]));
  const rest = idempotencyKey === undefined ? whole : undefined;
  const bytes = new Uint8Array(head.length + (rest?.length ?? 0));
  bytes.set(head);
  if (rest !== undefined) bytes.set(rest, head.length);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return toHex(digest.subarray(0, 16));
}

/** The answer that a repeated submit gets; undefined when it is not a repetition. Waits for a first one that is still under way. */
export async function recallAnswer(
  recalled: string,
  digest: string | undefined,
  key: string,
  settings: Settings,
): Promise<Answer | undefined> {
  const until = settings.now() + settings.timeouts.finish;
  let text: string | null = recalled;
  for (;;) {
    const entry = readEntries(text).find((one) => one.digest === digest);
    if (entry === undefined) return undefined;
    const { answer } = entry;
    if (answer !== undefined)
      return { type: "answer", status: answer.status, headers: answer.headers, body: fromBase64(answer.body) };
    if (settings.now() > until) throw new ProxyError("upstream_unanswered");
    await new Promise((resolve) => {
      setTimeout(resolve, lookEvery);
    });
    text = await settings.askStore((store) => store.get(key));
  }
}

/** A submit that may be repeated: where its caller's answers stand, and what makes it the same submit. */
export interface Replay {
  readonly key: string;
  readonly digest: () => Promise<string | undefined>;
}

/** What a repeated submit finds: the first one under way, its answer, or nothing, so that it is a new one. */
export type KeptAnswer = "under way" | "none" | Omit<Answer, "type">;

/** Writes of this process that are under way, one after another for each caller, so that none is lost. */
const writing = new Map<string, Promise<void>>();

/** Notes that a caller left during a submit, or the answer that he did not get. Never rejects. */
export function keepAnswer(replay: Replay, answer: KeptAnswer, settings: Settings): Promise<void> {
  const { key } = replay;
  const written = (writing.get(key) ?? Promise.resolve())
    .then(() => writeEntry(replay, answer, settings))
    .catch((cause: unknown) => settings.log.error("the answer of a submit could not be kept", cause))
    .finally(() => {
      if (writing.get(key) === written) writing.delete(key);
    });
  writing.set(key, written);
  return written;
}

/** Resolves when everything that was to be kept under the key can be found there. */
export function whenWritten(key: string): Promise<void> | undefined {
  return writing.get(key);
}

async function writeEntry({ key, digest }: Replay, answer: KeptAnswer, settings: Settings): Promise<void> {
  const name = await digest();
  if (name === undefined) return;
  const before = readEntries(await settings.askStore((store) => store.get(key)));
  const entries = before.filter((entry) => entry.digest !== name).slice(-9);
  if (answer !== "none") entries.push({ digest: name, answer: answer === "under way" ? undefined : toEntry(answer) });
  await settings.askStore((store) => store.put(key, JSON.stringify(entries), keptFor));
}

function toEntry({ status, headers, body }: Omit<Answer, "type">): Entry["answer"] {
  return { status, headers, body: toBase64(body) };
}

function readEntries(text: string | null): Entry[] {
  return text === null ? [] : (JSON.parse(text) as Entry[]);
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
