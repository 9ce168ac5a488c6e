/** Who is told of the answers on one connection. */
export interface Listener {
  /** A piece of the body, chunk framing taken off. */
  readonly body: (piece: Buffer) => void;
  readonly end: (status: number) => void;
}

type State = "head" | "length" | "size" | "chunk" | "chunk end" | "trailer";

/** Reads HTTP/1.1 answers, one after the other; answers the function that takes bytes. */
export function createAnswerReader({ body, end }: Listener): (chunk: Buffer) => void {
  let state: State = "head";
  let held = "";
  let remaining = 0;
  let status = 0;

  function finish(): void {
    state = "head";
    end(status);
  }

  /** Text up to and including the mark, or undefined while it is not all here; and where it ends in the chunk. */
  function upTo(mark: string, chunk: Buffer, from: number): { text: string; next: number } | undefined {
    const fresh = chunk.toString("latin1", from, Math.min(chunk.length, from + 16_384));
    const text = held + fresh;
    const at = text.indexOf(mark);
    if (at < 0) {
      held = text;
      return undefined;
    }
    const next = from + at + mark.length - held.length;
    held = "";
    return { text: text.slice(0, at + mark.length), next };
  }

  function onHead(text: string): void {
    status = Number(text.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    remaining = Number(length ?? 0);
    if (length === undefined && !/\r\ntransfer-encoding: *chunked/i.test(text)) throw new Error(`no length: ${text}`);
    state = length === undefined ? "size" : "length";
    if (state === "length" && remaining === 0) finish();
  }

  function line(chunk: Buffer, from: number): number {
    const found = upTo(state === "head" ? "\r\n\r\n" : "\r\n", chunk, from);
    if (found === undefined) return chunk.length;
    if (state === "head") onHead(found.text);
    else if (state === "size") {
      remaining = Number.parseInt(found.text, 16);
      state = remaining === 0 ? "trailer" : "chunk";
    } else if (state === "chunk end") state = "size";
    else if (found.text === "\r\n") finish();
    return found.next;
  }

  function bytes(chunk: Buffer, from: number): number {
    const piece = chunk.subarray(from, from + remaining);
    remaining -= piece.length;
    body(piece);
    if (remaining === 0 && state === "length") finish();
    else if (remaining === 0) state = "chunk end";
    return from + piece.length;
  }

  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      at = state === "length" || state === "chunk" ? bytes(chunk, at) : line(chunk, at);
    }
  };
}
