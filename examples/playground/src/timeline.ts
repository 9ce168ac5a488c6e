import { createClock } from "./clock.ts";
import { createElement } from "./element.ts";
import { formatDuration, formatSeconds } from "./units.ts";

/** How a run ended. */
export type Outcome = "done" | "failed" | "stopped";

/** The steps of a run and when each was reached. */
export interface Timeline {
  readonly element: HTMLElement;
  /** Starts the clock with the first step reached. */
  begin(...steps: string[]): void;
  /** Reaches a step, or tells more about the one that was reached. */
  reach(step: string, note?: string): void;
  /** Stops the clock at the last step, which says how it ended. */
  end(outcome: Outcome): void;
}

const endings: Readonly<Record<Outcome, string | undefined>> = {
  done: undefined,
  failed: "Failed",
  stopped: "Stopped",
};

export function createTimeline(): Timeline {
  const list = createElement("ol", { class: "steps" });
  const bar = createElement("div", { class: "time-bar", "aria-hidden": "true" });
  const total = createElement("p", { class: "clock" });
  const spoken = createElement("p", { class: "visually-hidden", role: "status" });
  let steps: Step[] = [];
  const clock = createClock((elapsed) => {
    total.textContent = formatSeconds(elapsed);
    for (const step of steps) step.stretch(elapsed);
  });

  const reach = (name: string, note?: string): void => {
    const position = steps.findIndex((step) => step.name === name);
    const isNews = steps[position]?.reach(clock.elapsed(), note);
    for (const step of steps.slice(0, Math.max(position, 0))) step.leave(clock.elapsed());
    if (isNews === true) spoken.textContent = note === undefined ? name : `${name}, ${note}`;
  };
  return {
    element: createElement("div", { class: "timeline" }, list, bar, total, spoken),
    begin(...names) {
      steps = names.map(createStep);
      list.replaceChildren(...steps.map(({ item }) => item));
      bar.replaceChildren(...steps.map(({ segment }) => segment));
      clock.start();
      if (names[0] !== undefined) reach(names[0]);
    },
    reach,
    end(outcome) {
      const last = steps.at(-1);
      if (!clock.isRunning || last === undefined) return;
      reach(last.name);
      last.finish(outcome);
      clock.stop();
      spoken.textContent = `${endings[outcome] ?? last.name} after ${formatSeconds(clock.elapsed())}`;
    },
  };
}

interface Step {
  readonly name: string;
  readonly item: HTMLElement;
  readonly segment: HTMLElement;
  /** True when this is news to the reader. */
  reach(at: number, note?: string): boolean;
  leave(at: number): void;
  finish(outcome: Outcome): void;
  /** Lengthens the step's part of the bar while the step lasts. */
  stretch(now: number): void;
}

function createStep(name: string): Step {
  const label = createElement("span", { class: "step-name" }, name);
  const time = createElement("span", { class: "step-time" });
  const remark = createElement("span", { class: "step-note" });
  const item = createElement("li", { "data-state": "waiting" }, label, time, remark);
  const segment = createElement("span", { class: "segment" });
  let reachedAt: number | undefined;
  const stretch = (now: number): void => {
    if (item.dataset["state"] !== "present" || reachedAt === undefined) return;
    segment.style.flexGrow = String(Math.max(now - reachedAt, 1));
  };
  return {
    name,
    item,
    segment,
    reach(at, note) {
      const isNews = reachedAt === undefined || (note !== undefined && note !== remark.textContent);
      if (reachedAt === undefined) time.textContent = `+${formatDuration(at)}`;
      reachedAt ??= at;
      item.dataset["state"] = "present";
      if (note !== undefined) remark.textContent = note;
      return isNews;
    },
    leave(at) {
      stretch(at);
      item.dataset["state"] = reachedAt === undefined ? "skipped" : "past";
    },
    finish(outcome) {
      item.dataset["state"] = outcome;
      label.textContent = endings[outcome] ?? name;
    },
    stretch,
  };
}
