import { createElement, createId } from "./element.ts";
import type { ServerEvent } from "./server-event.ts";
import { formatBytes, formatDuration } from "./units.ts";

/** "What the server saw": one row per call, in the order of arrival. */
export interface ServerLog {
  readonly element: HTMLElement;
  add(event: ServerEvent): void;
  clear(): void;
}

const columns = ["Call", "Endpoint", "Status", "Sent", "Received", "Time"];

export function createServerLog(): ServerLog {
  const title = createElement("h3", { id: createId() }, "What the server saw");
  const total = createElement("p", { class: "hint" });
  const rows = createElement("tbody", { role: "rowgroup" });
  const heads = columns.map((name) => createElement("th", { role: "columnheader", scope: "col" }, name));
  const head = createElement("thead", { role: "rowgroup" }, createElement("tr", { role: "row" }, ...heads));
  const table = createElement("table", { role: "table", "aria-labelledby": title.id }, head, rows);
  const scroller = createElement(
    "div",
    { class: "scroller", tabindex: "0", role: "group", "aria-labelledby": title.id },
    table,
  );
  const calls = new Map<string, { row: HTMLElement; last: ServerEvent }>();

  const clear = (): void => {
    calls.clear();
    rows.replaceChildren();
    scroller.hidden = true;
    total.textContent = "Each call of the signed-in user, as the proxy reports it to the app (option observe).";
  };
  clear();
  return {
    element: createElement(
      "section",
      { class: "card server", "aria-labelledby": title.id },
      createElement("div", { class: "bar" }, title, total),
      scroller,
    ),
    add(event) {
      const row = createRow(event);
      const before = calls.get(event.id);
      if (before === undefined) rows.append(row);
      else if (before.last.type === "call") return;
      else before.row.replaceWith(row);
      calls.set(event.id, { row, last: event });
      scroller.hidden = false;
      scroller.scrollTop = scroller.scrollHeight;
      total.textContent = sum([...calls.values()].map(({ last }) => last));
    },
    clear,
  };
}

function createRow(event: ServerEvent): HTMLElement {
  const { kind, method, endpoint, bytesIn, bytesOut, ms } = event;
  const call = createElement(
    "span",
    {},
    createElement("strong", {}, kind ?? "unknown"),
    " ",
    createElement("span", { class: "method" }, method),
  );
  const cells: [string, Node | string][] = [
    ["call", call],
    ["endpoint", endpoint ?? "–"],
    ["status", createStatus(event)],
    ["sent", bytesIn === undefined ? "–" : formatBytes(bytesIn)],
    ["received", bytesOut === undefined ? "–" : formatBytes(bytesOut)],
    ["time", ms === undefined ? "–" : formatDuration(ms)],
  ];
  return createElement(
    "tr",
    { role: "row" },
    ...cells.map(([name, content]) => createElement("td", { role: "cell", class: `cell-${name}` }, content)),
  );
}

function createStatus({ type, outcome, status, code }: ServerEvent): HTMLElement {
  const isOpen = type === "decision" && outcome === "admitted";
  const cutShort = type === "call" && outcome !== "complete" ? outcome : undefined;
  const words = isOpen ? ["under way"] : [status === undefined ? undefined : String(status), code ?? cutShort];
  const text = words.filter((word) => word !== undefined).join(" ");
  return createElement(
    "span",
    { class: "pill", "data-status": isOpen ? "open" : rank(status) },
    text === "" ? "ended" : text,
  );
}

function rank(status: number | undefined): string {
  if (status === undefined) return "none";
  return `${Math.floor(status / 100)}xx`;
}

function sum(events: readonly ServerEvent[]): string {
  const received = events.reduce((bytes, { bytesOut }) => bytes + (bytesOut ?? 0), 0);
  const refused = events.filter(({ outcome }) => outcome === "refused").length;
  const words = [`${events.length} ${events.length === 1 ? "call" : "calls"}`, `${formatBytes(received)} received`];
  return refused === 0 ? words.join(" · ") : [...words, `${refused} refused`].join(" · ");
}
