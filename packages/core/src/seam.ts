import type { Head, HeaderList } from "./head.ts";
import type { Soon } from "./soon.ts";

/** The caller's side of one request, made by a transport. */
export interface Door {
  readonly head: Head;
  /** The framework's own request object, handed to `authorize`; undefined on upgrades. */
  readonly native: unknown;
  /** Whether compressed answers may pass untouched (Node) or the answer must be asked for as identity (web). */
  readonly codings: "pass" | "identity";
  /** True while the server is shutting down: every new call is refused. */
  readonly closing: boolean;
  /** Collects the request body; rejects with `body_too_large`, `body_timeout` or `body_incomplete`. */
  body(maxBytes: number): Promise<Uint8Array>;
  /** True once the caller has gone. */
  isGone(): boolean;
  /** Keeps the process alive for work that finishes after the answer (serverless platforms). */
  readonly waitUntil: (this: void, work: Promise<unknown>) => void;
}

/** An answer of our own: refusal, preflight, own route. */
export interface Answer {
  readonly type: "answer";
  readonly status: number;
  readonly headers: HeaderList;
  /** Empty for none. */
  readonly body: Uint8Array;
}

/** The request to send upstream. Times in milliseconds. */
export interface UpstreamRequest {
  readonly method: string;
  /** `https://queue.fal.run`, or the origin of a configured upstream. */
  readonly origin: string;
  /** Path and query, ready to be sent. */
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: "stream" | Uint8Array | null;
  readonly maxBodyBytes: number;
  /** May be sent again when the connection broke before any answer (RFC 9110, section 9.2.2). */
  readonly repeatable: boolean;
  readonly timeouts: { readonly connect: number; readonly head: number; readonly idle: number; readonly body: number };
}

/** The head of upstream's answer. */
export interface UpstreamHead {
  readonly status: number;
  readonly headers: HeaderList;
}

/** Rewrites a body that passes through: what is ready to be sent comes back at once. */
export interface Rewriter {
  push(chunk: Uint8Array): Uint8Array;
  end(): Uint8Array;
  /** In place of both, for a body that came whole: its bytes as text, a character for each (latin1). */
  whole(text: string): string;
}

/** How a transport answers the caller once upstream's head is known. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: HeaderList;
  /**
   * `stream`: pass the bytes as they come. `none`: no body. Bytes: this instead of upstream's body.
   * `collect`: read upstream's body up to the limit, then ask `collected`. A rewriter: pass through it.
   */
  readonly body: "stream" | "none" | Uint8Array | { readonly collect: number } | Rewriter;
  /** Send the head at once instead of with the first byte. */
  readonly flush: boolean;
}

/** The answer that takes the place of one that was collected. */
export interface CollectedAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

/**
 * How an exchange ended: `unsent` no byte went upstream; `unanswered` sent, no answer; `complete`; `cut` upstream broke off;
 * `left` the caller went away; `stopped` a meter said stop.
 */
export type Ending = "unsent" | "unanswered" | "complete" | "cut" | "left" | "stopped";

/** What the exchange used. */
export interface Use {
  /** Status sent to the caller; undefined when none was. */
  readonly status: number | undefined;
  /** The request never went upstream whole, so nothing can have run. */
  readonly incomplete?: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The error behind an ending that is not `complete`. */
  readonly error?: unknown;
}

/** An admitted call: what to send, how to answer, whom to tell. Every decision about it stands behind these functions. */
export interface Exchange {
  readonly type: "exchange";
  readonly up: UpstreamRequest;
  readonly whenCallerLeaves: "abort" | "finish";
  /** Longest time to go on after the caller left, for `finish`; milliseconds. */
  readonly finishWithin: number;
  /** Total and synchronous: never throws. */
  head(up: UpstreamHead): AnswerHead;
  /** Awaited before any byte goes to the caller, when `head` said `collect`. */
  collected(body: Uint8Array): Soon<CollectedAnswer>;
  /** The answer when upstream gave none; the transport has not answered yet. */
  failed(ending: "unsent" | "unanswered", error: unknown): Answer;
  /** Asked once, when upstream agreed to a handshake: what takes the place of the exchange while the socket is open. */
  opened(): OpenSocket;
  /** Told when the caller left an exchange that goes on without him. */
  callerLeft(): void;
  /** Asked while a stream or socket is open; there once `head` was called, and undefined where there is nothing to ask. */
  readonly meter: { readonly everyMs: number; tick(): Promise<"go" | "stop"> } | undefined;
  /** Called exactly once. */
  end(ending: Ending, use: Use): void;
}

/** An open socket, as the rules follow it. */
export interface OpenSocket {
  readonly meter: Exchange["meter"];
  readonly end: (ending: Ending, use: Use) => void;
}
