import type { Page } from "playwright-core";
import type { ClientPage } from "./client-page.ts";

/** How the client is told to connect. */
export interface Connecting {
  readonly endpoint: string;
  /** `proxyRealtime()`, `tokenProvider()`, or nothing: the client as it comes. */
  readonly by: "proxy" | "token" | "nothing";
  readonly inputs: readonly Input[];
  /** Goes on after a result only when the page's `mayGoOn` says so. */
  readonly patient?: boolean;
  /** JSON text in place of MessagePack. */
  readonly text?: boolean;
  readonly path?: string;
  readonly maxBuffering?: number;
  /** When to stop besides having as many results as inputs: at the first error, or after so many. */
  readonly errors?: number;
}

type Input = Readonly<Record<string, unknown>>;

/** What the page's author sees. */
export interface Outcome {
  readonly results: readonly unknown[];
  readonly errors: readonly { readonly status: unknown; readonly message: string }[];
}

/** Sends each input when the one before has its result; then closes. */
export function converse(page: Page, connecting: Connecting): Promise<Outcome> {
  return page.evaluate(play, connecting);
}

/** Runs in the page. */
function play(connecting: Connecting): Promise<Outcome> {
  const { createFalClient, proxyRealtime, tokenProvider } = globalThis as unknown as ClientPage;
  const {
    endpoint,
    by,
    inputs,
    text = false,
    patient = false,
    errors: mostErrors = 1,
    path,
    maxBuffering,
  } = connecting;
  const proxyUrl = "/api/fal/proxy";
  const fal = createFalClient({ proxyUrl });
  const throughProxy = by === "proxy" ? proxyRealtime({ proxyUrl }) : undefined;
  const provider = throughProxy ?? (by === "token" ? tokenProvider({ proxyUrl }) : undefined);
  const { mayGoOn } = globalThis as unknown as { mayGoOn: () => Promise<void> };
  const results: unknown[] = [];
  const errors: Outcome["errors"][number][] = [];
  return new Promise((resolve) => {
    const connection = fal.realtime.connect<Input, unknown>(endpoint, {
      throttleInterval: 0,
      ...(provider === undefined ? {} : { tokenProvider: provider }),
      ...(path === undefined ? {} : { path }),
      ...(maxBuffering === undefined ? {} : { maxBuffering }),
      ...(text ? { encodeMessage: JSON.stringify as never, decodeMessage: JSON.parse as never } : {}),
      onResult(result) {
        results.push(result);
        if (patient && results.length < inputs.length) void mayGoOn().then(step);
        else step();
      },
      onError(error) {
        errors.push({ status: error.status, message: error.message });
        if (errors.length === mostErrors) end();
      },
    });
    function step(): void {
      const input = inputs[results.length];
      if (input === undefined) end();
      else connection.send(input);
    }
    function end(): void {
      connection.close();
      throughProxy?.restore();
      resolve({ results, errors });
    }
    step();
  });
}
