import { fal } from "@fal-ai/client";
import { type Config, endpointsFor, loadConfig } from "./config.ts";
import { createElement } from "./element.ts";
import { createFeed } from "./feed.ts";
import { createMenu } from "./menu.ts";
import { createMasthead } from "./masthead.ts";
import { createPanel, type Panel } from "./panel.ts";
import { patterns } from "./patterns/index.ts";
import { createSessionPanel } from "./session.ts";
import { toSource } from "./source.ts";
import { createUsageReader } from "./usage.ts";

/** Where the app behind the page answers. */
export interface PlaygroundOptions {
  /** Keyway's mount, such as `/api/fal/proxy`. */
  readonly proxyUrl: string;
  /** Sign-in: POST `{ user }`, DELETE. Default `/api/session`. */
  readonly sessionUrl?: string;
  /** The user's own `observe` events as server-sent events. Default `/api/events`. */
  readonly eventsUrl?: string;
  /** What the user has spent and may still spend. Default `/api/usage`. */
  readonly usageUrl?: string;
  /** `{ emulator, user }`. Default `/api/config`. */
  readonly configUrl?: string;
}

/** Puts the playground into an element; the returned function takes it out again. */
export function mountPlayground(element: HTMLElement, options: PlaygroundOptions): () => void {
  const root = createElement("div", { class: "keyway-playground" });
  const leaving = new AbortController();
  element.append(root);
  loadConfig(options.configUrl ?? "/api/config").then(
    (config) => leaving.signal.aborted || fill(root, config, options, leaving.signal),
    (error: unknown) =>
      root.replaceChildren(
        createElement("p", { class: "problem", role: "alert" }, `The app did not answer: ${String(error)}`),
      ),
  );
  return () => {
    leaving.abort();
    root.remove();
  };
}

function fill(root: HTMLElement, config: Config, options: PlaygroundOptions, leaving: AbortSignal): void {
  const { eventsUrl = "/api/events", sessionUrl = "/api/session" } = options;
  let watching: Panel | undefined;
  const feed = createFeed(eventsUrl, (event) => watching?.serverLog.add(event));
  const signInAs = async (user: string): Promise<void> => {
    await session.signInAs(user);
    await feed.ready();
  };
  const panels = createPanels(config, options, signInAs, async (panel) => {
    watching = panel;
    await feed.ready();
  });
  const main = createElement("main", {}, ...panels.map(({ element }) => element));
  const session = createSessionPanel(sessionUrl, (user) => {
    for (const panel of panels) panel.serverLog.clear();
    if (user === undefined) feed.close();
    else feed.open();
  });
  const menu = createMenu(panels, leaving);
  root.replaceChildren(createMasthead(config, session.element), createElement("div", { class: "body" }, menu, main));
  session.begin(config.user);
  leaving.addEventListener("abort", () => {
    feed.close();
    for (const panel of panels) panel.stop();
  });
}

function createPanels(
  config: Config,
  { proxyUrl, usageUrl = "/api/usage", sessionUrl = "/api/session" }: PlaygroundOptions,
  signInAs: (user: string) => Promise<void>,
  starts: (panel: Panel) => Promise<void>,
): readonly Panel[] {
  fal.config({ proxyUrl });
  const context = {
    fal,
    endpoints: endpointsFor(config),
    proxyUrl,
    emulator: config.emulator,
    client: `import { fal } from "@fal-ai/client";

fal.config({ proxyUrl: ${toSource(proxyUrl)} });
`,
    usage: createUsageReader(usageUrl, sessionUrl),
    signInAs,
  };
  return patterns.map((create) => createPanel(create(context), { starts }));
}
