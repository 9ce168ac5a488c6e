/** One header line. Emulator answers use lower-case names; a header sent twice stands here twice. */
export type HeaderLine = readonly [name: string, value: string];

/** What goes back on the wire. A body given in pieces is sent as it comes, at the pace of its reader. */
export interface Answer {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** An answer whose whole body is known, as the queue keeps it. */
export interface WholeAnswer extends Answer {
  readonly body: Uint8Array;
}

const encoder = new TextEncoder();

export function toBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export function json(status: number, value: unknown, headers: readonly HeaderLine[] = []): WholeAnswer {
  const body = toBytes(JSON.stringify(value) ?? "null");
  return { status, headers: [["content-type", "application/json"], ...headers], body };
}

/** fal's simple error shape: `{"detail": text}` (fal-js and the app framework read it everywhere). */
export function refusal(status: number, detail: string, headers: readonly HeaderLine[] = []): WholeAnswer {
  return json(status, { detail }, headers);
}

export function empty(status: number, headers: readonly HeaderLine[] = []): WholeAnswer {
  return { status, headers, body: new Uint8Array(0) };
}

export function methodRefused(allowed: readonly string[]): WholeAnswer {
  return refusal(405, "Method Not Allowed", [["allow", allowed.join(", ")]]);
}

/** The first line of that name, or undefined. */
export function headerOf(headers: readonly HeaderLine[], name: string): string | undefined {
  return headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Reads a body given in pieces to its end; a body that is whole comes back as it is. */
export async function toWhole(answer: Answer): Promise<WholeAnswer> {
  if (answer.body instanceof Uint8Array) return { ...answer, body: answer.body };
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  return { ...answer, body: Buffer.concat(pieces) };
}
