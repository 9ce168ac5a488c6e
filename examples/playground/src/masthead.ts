import type { Config } from "./config.ts";
import { createElement } from "./element.ts";

/** The top of the page: what this is, which way a call goes, and who is signed in. */
export function createMasthead({ emulator }: Config, session: HTMLElement): HTMLElement {
  const title = createElement("h1", {}, createElement("span", { class: "brand" }, "Keyway"), " playground");
  const lead = createElement(
    "p",
    { class: "lead" },
    "fal.ai's own client, called from this page. The key never leaves the server.",
  );
  const upstream = emulator
    ? stop("Local emulator", "answers for fal.ai, at no cost")
    : stop("fal.ai", "real calls, billed to your account");
  const way = createElement(
    "ol",
    { class: "way", "aria-label": "The way of a call" },
    stop("This page", "@fal-ai/client, no key"),
    stop("Your server", "Keyway checks and adds the key"),
    upstream,
  );
  return createElement(
    "header",
    { class: "masthead" },
    createElement("div", { class: "title" }, title, lead),
    session,
    way,
  );
}

function stop(name: string, words: string): HTMLElement {
  return createElement("li", {}, createElement("strong", {}, name), createElement("span", {}, words));
}
