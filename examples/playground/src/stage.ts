import { createElement, createId } from "./element.ts";
import { createFailureCard, toFailure } from "./failure.ts";
import { createJsonView } from "./json-view.ts";
import { createLogs } from "./logs.ts";
import type { Action } from "./pattern.ts";
import { createPictures } from "./pictures.ts";
import { createTimeline } from "./timeline.ts";

/** The side of a panel that shows what happens. */
export interface StageView {
  readonly element: HTMLElement;
  /** Runs an action and shows how it went. Never rejects. */
  perform(action: Action, signal: AbortSignal): Promise<void>;
}

export function createStageView(readout?: HTMLElement): StageView {
  const title = createElement("h3", { id: createId() }, "Response");
  const timeline = createTimeline();
  const problem = createElement("div");
  const words = createElement("p", { role: "status" });
  const id = createElement("p", { class: "hint" });
  const pictures = createPictures();
  const logs = createLogs();
  const json = createJsonView();

  const reset = (): void => {
    id.textContent = "";
    logs.clear();
    json.clear();
    pictures.wait();
  };
  const show = (data: unknown, requestId?: string): void => {
    const hasPictures = pictures.show(data, "Result of the call");
    if (!hasPictures) pictures.hide();
    json.show(data, { title: "Answer as JSON", isOpen: !hasPictures });
    if (requestId) id.replaceChildren("Request ", createElement("code", {}, requestId));
  };
  const say = (text: string): void => {
    words.textContent = text;
  };
  const fail = (error: unknown): void => {
    const failure = toFailure(error);
    problem.replaceChildren(createFailureCard(failure));
    if (failure.body !== undefined) json.show(failure.body, { title: "Error as JSON", isOpen: false });
    pictures.hide();
  };
  const parts = [timeline.element, problem, words, pictures.element, logs.element, json.element, id];
  return {
    element: createElement("section", { class: "card stage", "aria-labelledby": title.id }, title, ...parts, readout),
    async perform(action, signal) {
      problem.replaceChildren();
      words.textContent = "";
      if (action.continues !== true) reset();
      try {
        await action.run({ signal, timeline, logs, pictures, show, say });
      } catch (error) {
        if (!signal.aborted) fail(error);
        else if (action.continues !== true) pictures.clear();
        if (action.continues !== true) timeline.end(signal.aborted ? "stopped" : "failed");
      }
    },
  };
}
