import { createElement, createId } from "../element.ts";
import { formatDuration } from "../units.ts";

/** How long inputs took to become pictures: a small chart of the newest, and figures of all. */
export interface RoundTrips {
  readonly element: HTMLElement;
  add(ms: number): void;
  clear(): void;
  /** In a sentence, for who does not see the chart. */
  readonly summary: string;
}

const shown = 40;
const height = 100;
const svg = "http://www.w3.org/2000/svg";

export function createRoundTrips(): RoundTrips {
  const title = createElement("h4", { id: createId() }, "Round trips");
  const chart = document.createElementNS(svg, "svg");
  chart.setAttribute("viewBox", `0 0 ${shown * 4} ${height}`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("role", "img");
  const figures = createElement("dl", { class: "figures" });
  const element = createElement("section", { class: "round-trips", "aria-labelledby": title.id }, title);
  element.append(chart, figures);
  let all: number[] = []; // the newest thousand
  let count = 0;

  const summarize = (): string => {
    const { last, median, slowest } = figuresOf(all);
    return `${count} ${count === 1 ? "picture" : "pictures"}, the last after ${last}; median ${median}, slowest ${slowest}.`;
  };
  const draw = (): void => {
    element.hidden = all.length === 0;
    const { last, median, slowest } = figuresOf(all);
    const entries = { Last: last, Median: median, Slowest: slowest, Pictures: String(count) };
    chart.replaceChildren(...toBars(all.slice(-shown)));
    chart.setAttribute("aria-label", `Round trips: ${summarize()}`);
    figures.replaceChildren(
      ...Object.entries(entries).map(([name, value]) =>
        createElement("div", {}, createElement("dt", {}, name), createElement("dd", {}, value)),
      ),
    );
  };
  draw();
  return {
    element,
    add(ms) {
      all = [...all.slice(-999), ms];
      count += 1;
      draw();
    },
    clear() {
      all = [];
      count = 0;
      draw();
    },
    get summary() {
      return summarize();
    },
  };
}

function figuresOf(all: readonly number[]): { last: string; median: string; slowest: string } {
  const sorted = all.toSorted((one, other) => one - other);
  return {
    last: formatDuration(all.at(-1) ?? 0),
    median: formatDuration(sorted[Math.floor(sorted.length / 2)] ?? 0),
    slowest: formatDuration(sorted.at(-1) ?? 0),
  };
}

/** A bar for each, the newest at the right; the slowest in sight is as high as the chart. */
function toBars(newest: readonly number[]): SVGElement[] {
  const most = Math.max(...newest, 1);
  return newest.map((ms, index) => {
    const bar = document.createElementNS(svg, "rect");
    const size = Math.max((ms / most) * height, 2);
    const place = { x: (shown - newest.length + index) * 4, y: height - size, width: 3, height: size };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, String(value));
    return bar;
  });
}
