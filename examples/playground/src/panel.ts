import { createCodeView } from "./code-view.ts";
import { createElement, createId } from "./element.ts";
import type { Action, Pattern } from "./pattern.ts";
import { createServerLog, type ServerLog } from "./server-log.ts";
import { createStageView } from "./stage.ts";

/** What a panel needs of the page around it. */
export interface PanelContext {
  /** Called before every action: whose calls the server's events are from now on. */
  starts(panel: Panel): Promise<void>;
}

/** The page of one pattern. */
export interface Panel {
  readonly pattern: Pattern;
  readonly element: HTMLElement;
  readonly serverLog: ServerLog;
  /** Ends what is under way. */
  stop(): void;
}

export function createPanel(pattern: Pattern, context: PanelContext): Panel {
  const stage = createStageView(pattern.readout);
  const code = createCodeView();
  const serverLog = createServerLog();
  const form = createForm(pattern);
  let running: AbortController | undefined;

  const refresh = (): void => code.show(codeOf(pattern));
  const perform = async (action: Action): Promise<void> => {
    const controller = new AbortController();
    running = controller;
    form.setBusy(true);
    if (action.continues !== true) serverLog.clear();
    stage.element.scrollIntoView({ block: "nearest" });
    await context.starts(panel);
    await stage.perform(action, controller.signal);
    running = undefined;
    form.setBusy(false);
    refresh();
  };
  form.onAction((action) => void perform(action));
  form.onStop(() => running?.abort());
  form.element.addEventListener("input", refresh);
  refresh();

  const title = createElement("h2", { id: createId(), tabindex: "-1" }, pattern.title);
  const head = createElement("header", { class: "panel-head" }, title, createElement("p", {}, pattern.summary));
  const panel: Panel = {
    pattern,
    element: createElement(
      "section",
      { class: "panel", "aria-labelledby": title.id },
      head,
      form.element,
      stage.element,
      code.element,
      serverLog.element,
    ),
    serverLog,
    stop: () => running?.abort(),
  };
  return panel;
}

function codeOf(pattern: Pattern): string {
  try {
    return pattern.code();
  } catch (error) {
    return `// ${error instanceof Error ? error.message : String(error)}`;
  }
}

interface Form {
  readonly element: HTMLElement;
  onAction(listener: (action: Action) => void): void;
  onStop(listener: () => void): void;
  setBusy(busy: boolean): void;
}

function createForm({ fields, actions }: Pattern): Form {
  const [main, ...others] = actions.map((action, index) => ({
    action,
    button: createElement(
      "button",
      index === 0 ? { type: "submit" } : { type: "button", class: "quiet" },
      action.label,
    ),
  }));
  // Where there are several buttons, each is one short request.
  const isStoppable = actions.length === 1;
  const stop = createElement("button", { type: "button", class: "quiet", "aria-disabled": "true" }, "Stop");
  const buttons = [main, ...others].flatMap((entry) => (entry === undefined ? [] : [entry.button]));
  const title = createElement("h3", { id: createId() }, "Request");
  const element = createElement(
    "form",
    { class: "card request", "aria-labelledby": title.id },
    title,
    ...fields,
    createElement("div", { class: "buttons" }, ...buttons, isStoppable ? stop : undefined),
  );
  return {
    element,
    onAction(listener) {
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        if (main !== undefined && isEnabled(main.button)) listener(main.action);
      });
      for (const { action, button } of others) {
        button.addEventListener("click", () => isEnabled(button) && listener(action));
      }
    },
    onStop: (listener) => stop.addEventListener("click", listener),
    setBusy(busy) {
      for (const button of buttons) setEnabled(button, !busy);
      setEnabled(stop, busy);
    },
  };
}

/** A disabled button would lose the focus, so these only say so. */
function setEnabled(button: HTMLButtonElement, enabled: boolean): void {
  button.setAttribute("aria-disabled", String(!enabled));
}

function isEnabled(button: HTMLButtonElement): boolean {
  return button.getAttribute("aria-disabled") !== "true";
}
