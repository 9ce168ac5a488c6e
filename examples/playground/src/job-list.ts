import { type Job, jobs } from "@keyway/client";
import { createElement, createId } from "./element.ts";
import { formatDuration } from "./units.ts";

/** The signed-in user's own jobs, one of them chosen. */
export interface JobList {
  readonly element: HTMLElement;
  /** Undefined while there is none. */
  readonly chosen: Job | undefined;
  refresh(): Promise<void>;
}

const refreshEvery = 1000;
const shown = 8;
const words = { OPEN: "at work", OK: "done", ERROR: "failed" } as const;

/** Reads the list while it is looked at: when it comes into sight, and as long as a job in it is open. */
export function createJobList(proxyUrl: string): JobList {
  const group = createId();
  const title = createElement("h4", { id: createId() }, "Your jobs");
  const list = createElement("ul", {});
  const hint = createElement("p", { class: "hint" }, "None yet.");
  const element = createElement("section", { class: "jobs", "aria-labelledby": title.id }, title, list, hint);
  let chosen: Job | undefined;
  let inSight = false;
  let timer: number | undefined;

  function createRow(job: Job): HTMLElement {
    const input = createElement("input", { type: "radio", name: group, id: createId() });
    input.checked = job.requestId === chosen?.requestId;
    input.addEventListener("change", () => (chosen = job));
    const age = `${formatDuration(Math.max(0, Date.now() - job.submittedAt))} ago`;
    const state = createElement("span", { class: "job-state", "data-state": job.status }, words[job.status]);
    const name = createElement("span", { class: "job-name" }, job.endpoint);
    const time = createElement("span", { class: "job-age" }, age);
    return createElement("li", {}, input, createElement("label", { for: input.id }, name, " ", time, " ", state));
  }

  async function refresh(): Promise<void> {
    window.clearTimeout(timer);
    const found = (await jobs({ proxyUrl })).slice(0, shown);
    chosen = found.find(({ requestId }) => requestId === chosen?.requestId) ?? found[0];
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...found.map(createRow));
    if (focused) list.querySelector<HTMLElement>("input:checked")?.focus();
    hint.hidden = found.length > 0;
    if (inSight && found.some(({ status }) => status === "OPEN")) timer = window.setTimeout(look, refreshEvery);
  }
  const look = (): void => void refresh().catch(() => undefined); // the next one may find the app again

  const sight = new IntersectionObserver(
    ([entry]) => {
      inSight = entry?.isIntersecting === true;
      window.clearTimeout(timer);
      if (inSight) look();
    },
    { rootMargin: "2000px" }, // below the edge of a small screen, but never in a panel that is not shown
  );
  sight.observe(element);
  return {
    element,
    get chosen() {
      return chosen;
    },
    refresh,
  };
}
