import type { FalClient } from "@fal-ai/client";
import type { Input } from "../input.ts";

export interface LiveOptions {
  readonly fal: FalClient;
  readonly endpoint: string;
  readonly tokenProvider: (endpoint: string) => Promise<string>;
  /** An answer, and how long it took from its input. */
  readonly onResult: (result: unknown, roundTripMs: number) => void;
  readonly onError: (error: Error) => void;
}

/** A real-time connection that has one input on its way at a time, and then sends the newest. */
export interface Live {
  send(input: Input): void;
  /** Nothing is told after this. */
  close(): void;
}

/** After so long without an answer the newest input is sent all the same. */
const patienceMs = 5000;

let connections = 0;

export function openLive({ fal, endpoint, tokenProvider, onResult, onError }: LiveOptions): Live {
  let sentAt: number | undefined;
  let newest: Input | undefined;
  let patience: number | undefined;
  let isClosed = false;
  connections += 1;
  const connection = fal.realtime.connect<Input, unknown>(endpoint, {
    tokenProvider,
    connectionKey: `playground-${connections}`, // the client's own needs a secure context
    throttleInterval: 0,
    onResult(result) {
      if (isClosed || sentAt === undefined) return;
      const roundTripMs = performance.now() - sentAt;
      settle();
      onResult(result, roundTripMs);
    },
    onError(error) {
      if (!isClosed) onError(error.message === "Unknown error" ? unexplained() : error);
    },
  });

  function settle(): void {
    window.clearTimeout(patience);
    sentAt = undefined;
    if (newest !== undefined && !isClosed) send(newest);
  }

  function send(input: Input): void {
    if (sentAt !== undefined) {
      newest = input;
      return;
    }
    newest = undefined;
    sentAt = performance.now();
    patience = window.setTimeout(settle, patienceMs);
    connection.send(input);
  }

  return {
    send,
    close() {
      isClosed = true;
      window.clearTimeout(patience);
      connection.close();
    },
  };
}

/** Browsers tell pages nothing about a handshake that failed. */
function unexplained(): Error {
  return new Error(
    "The connection was refused or broke off. Browsers do not say why; the server's own view below may.",
  );
}
