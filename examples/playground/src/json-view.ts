import { createElement } from "./element.ts";

/** An answer as it came, long strings shortened. */
export interface JsonView {
  readonly element: HTMLDetailsElement;
  show(data: unknown, options: { title: string; isOpen: boolean }): void;
  clear(): void;
}

export function createJsonView(): JsonView {
  const summary = createElement("summary");
  const text = createElement("code");
  const pre = createElement(
    "pre",
    { class: "mono", tabindex: "0", role: "group", "aria-label": "Answer as JSON" },
    text,
  );
  const element = createElement("details", { class: "json", hidden: true }, summary, pre);
  return {
    element,
    show(data, { title, isOpen }) {
      summary.textContent = title;
      text.textContent = JSON.stringify(data, shorten, 2) ?? String(data);
      element.hidden = false;
      element.open = isOpen;
    },
    clear() {
      element.hidden = true;
    },
  };
}

/** A picture in a data URI would fill the page. */
function shorten(_key: string, value: unknown): unknown {
  if (typeof value !== "string" || value.length <= 300) return value;
  return `${value.slice(0, 60)}… (${value.length} characters)`;
}
