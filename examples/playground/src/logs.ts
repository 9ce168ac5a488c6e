import type { RequestLog } from "@fal-ai/client";
import { createElement, createId } from "./element.ts";

/** A model's log lines, and its progress where the lines tell of one. */
export interface Logs {
  readonly element: HTMLElement;
  /** Adds the entries that were not shown yet: polls repeat what earlier ones brought. */
  show(entries: readonly RequestLog[]): void;
  clear(): void;
}

export function createLogs(): Logs {
  const title = createElement("h3", { id: createId() }, "Logs");
  const progress = createElement("progress", { max: "1", "aria-labelledby": title.id, hidden: true });
  const list = createElement("ol");
  const scrolling = { class: "logs mono", tabindex: "0", role: "group", "aria-labelledby": title.id };
  const scroller = createElement("div", scrolling, list);
  const element = createElement("div", { class: "block", hidden: true }, title, progress, scroller);
  const shown = new Set<string>();

  const add = ({ timestamp, level, message }: RequestLog): void => {
    const key = `${timestamp} ${message}`;
    if (shown.has(key)) return;
    shown.add(key);
    const time = createElement("span", { class: "log-time" }, timestamp.slice(11, 23));
    list.append(createElement("li", { "data-level": level ?? "INFO" }, time, " ", message));
    const share = readProgress(message);
    if (share === undefined) return;
    progress.hidden = false;
    progress.value = share;
  };
  return {
    element,
    show(entries) {
      for (const entry of entries) add(entry);
      element.hidden = shown.size === 0;
      scroller.scrollTop = scroller.scrollHeight;
    },
    clear() {
      shown.clear();
      list.replaceChildren();
      progress.hidden = true;
      progress.value = 0;
      element.hidden = true;
    },
  };
}

/** Between 0 and 1, from lines such as "step 3/8" or "37%". */
function readProgress(message: string): number | undefined {
  const percent = /(\d{1,3})\s?%/.exec(message)?.[1];
  if (percent !== undefined) return Math.min(Number(percent) / 100, 1);
  const [, done, all] = /(\d+)\s?(?:\/|of)\s?(\d+)/.exec(message) ?? [];
  if (done === undefined || all === undefined || Number(all) === 0) return undefined;
  return Math.min(Number(done) / Number(all), 1);
}
