import { parseServerEvent, type ServerEvent } from "./server-event.ts";

/** The app's own view of this user's calls: `GET /api/events`. */
export interface Feed {
  open(): void;
  close(): void;
  /** Resolves when events can arrive, or when it is no use to wait longer. */
  ready(): Promise<void>;
}

/** Reads the feed while it is open; the browser connects again by itself. */
export function createFeed(url: string, tell: (event: ServerEvent) => void): Feed {
  let source: EventSource | undefined;
  const close = (): void => {
    source?.close();
    source = undefined;
  };
  return {
    open() {
      close();
      source = new EventSource(url);
      source.addEventListener("message", ({ data }: MessageEvent<string>) => {
        const event = parseServerEvent(data);
        if (event !== undefined) tell(event);
      });
    },
    close,
    async ready() {
      const opening = source;
      if (opening === undefined || opening.readyState !== EventSource.CONNECTING) return;
      await new Promise<void>((resolve) => {
        opening.addEventListener("open", () => resolve(), { once: true });
        window.setTimeout(resolve, 1000);
      });
    },
  };
}
