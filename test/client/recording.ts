/** One answer as the client's fetch got it. */
export interface Seen {
  readonly method: string;
  /** The URL on fal's host that was meant. */
  readonly target: string;
  readonly status: number;
  /** Headers that fal gives, sorted by name. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The body's bytes, one character each. */
  readonly body: string;
  /** True when the connection broke before its end. */
  readonly broken: boolean;
}

const falHeader = /^(?:content-type|content-encoding|retry-after|x-fal-.*)$/;

/** A fetch that writes down every answer, in order, body and all. */
export function createRecorder(): { readonly fetch: typeof fetch; readonly seen: () => Promise<Seen[]> } {
  const pending: Promise<Seen>[] = [];
  return {
    async fetch(input, init) {
      const response = await fetch(input, init);
      const url = input instanceof Request ? input.url : String(input);
      pending.push(toSeen(url, init, response.clone()));
      return response;
    },
    seen: () => Promise.all(pending),
  };
}

async function toSeen(url: string, init: RequestInit | undefined, { status, headers, body }: Response): Promise<Seen> {
  const target = new Headers(init?.headers).get("x-fal-target-url") ?? url;
  const lines = [...headers].filter(([name]) => falHeader.test(name));
  const sorted = lines.toSorted(([one], [other]) => (one < other ? -1 : 1));
  return { method: init?.method ?? "GET", target, status, headers: sorted, ...(await read(body)) };
}

async function read(body: ReadableStream<Uint8Array> | null): Promise<Pick<Seen, "body" | "broken">> {
  const parts: Uint8Array[] = [];
  const text = (): string => Buffer.concat(parts).toString("latin1");
  try {
    if (body !== null) for await (const part of body) parts.push(part);
    return { body: text(), broken: false };
  } catch {
    return { body: text(), broken: true };
  }
}
