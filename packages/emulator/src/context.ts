import type { AppContext, LogLevel } from "./app.ts";
import type { Exchange } from "./exchange.ts";

/** How a context differs between kinds of call. */
export interface ContextParts {
  readonly kind: AppContext["kind"];
  readonly requestId: string;
  readonly signal: AbortSignal;
  readonly log?: (message: string, level: LogLevel) => void;
  readonly emit?: (event: unknown) => Promise<void>;
}

/** What an app was given, and what it said about its cost. */
export interface Use {
  readonly context: AppContext;
  readonly units: number | undefined;
}

export function createContext({ platform, call, cdnBase }: Exchange, parts: ContextParts): Use {
  let units: number | undefined;
  const { clock, files } = platform;
  const { kind, requestId, signal, log, emit } = parts;
  return {
    context: {
      requestId,
      endpoint: call.endpoint,
      kind,
      signal,
      log: (message, level = "INFO") => log?.(message, level),
      emit: async (event) => emit?.(event),
      sleep: (ms) => clock.sleep(ms, signal),
      now: () => clock.now(),
      setUnits: (count) => {
        units = count;
      },
      saveFile: (bytes, contentType) => `${cdnBase}/${files.save(bytes, contentType)}`,
    },
    get units() {
      return units;
    },
  };
}
