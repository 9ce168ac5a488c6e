import { ProxyError } from "./errors.ts";
import type { HeaderList } from "./head.ts";
import type { Settings } from "./options.ts";
import type { Answer } from "./seam.ts";

/** A submit whose caller went away before the answer: kept a while, so that repeating it does not enqueue a second job. */
interface Entry {
  readonly digest: string;
  /** Undefined while the first submit is still under way. */
  readonly answer: { readonly status: number; readonly headers: HeaderList; readonly body: string } | undefined;
}

const keptFor = 60_000;
const lookEvery = 200;

/** What of a submit makes it the same submit: the endpoint with its query, and the body or the caller's Idempotency-Key. */
export async function digestOf(
  path: string,
  idempotencyKey: string | undefined,
  body: Uint8Array | undefined,
): Promise<string | undefined> {
  if (idempotencyKey === undefined && body === undefined) return undefined;
  const head = new TextEncoder().encode(JSON.stringify([path, idempotencyKey ?? null]));
  const rest = idempotencyKey === undefined ? body : undefined;
  const bytes = new Uint8Array(head.length + (rest?.length ?? 0));
  bytes.set(head);
  if (rest !== undefined) bytes.set(rest, head.length);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Where a caller's unreceived submits stand. */
export function replayKey(callerHash: string): string {
  return `keyway:2:replay:${callerHash}`;
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

/** Notes that a caller left during a submit, or the answer that he did not get. */
export async function keepAnswer(
  key: string,
  digest: string,
  answer: Entry["answer"] | (Omit<Answer, "type"> & { body: Uint8Array }) | undefined,
  settings: Settings,
): Promise<void> {
  const kept =
    answer === undefined
      ? undefined
      : { ...answer, body: typeof answer.body === "string" ? answer.body : toBase64(answer.body) };
  const others = readEntries(await settings.askStore((store) => store.get(key))).filter(
    (entry) => entry.digest !== digest,
  );
  const entries: Entry[] = [...others.slice(-9), { digest, answer: kept }];
  await settings.askStore((store) => store.put(key, JSON.stringify(entries), keptFor));
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
