import { createElement } from "./element.ts";
import type { Panel } from "./panel.ts";

/** Links to the patterns; the one in the page's address is shown. */
export function createMenu(panels: readonly Panel[], leaving: AbortSignal): HTMLElement {
  const links = panels.map(({ pattern }) => createElement("a", { href: `#${pattern.id}` }, pattern.title));
  const show = (): void => {
    const wanted = location.hash.slice(1);
    const shown = panels.find(({ pattern }) => pattern.id === wanted) ?? panels[0];
    for (const [index, panel] of panels.entries()) {
      panel.element.hidden = panel !== shown;
      links[index]?.removeAttribute("aria-current");
      if (panel === shown) links[index]?.setAttribute("aria-current", "page");
    }
  };
  show();
  const follow = (): void => {
    show();
    panels
      .find(({ element }) => !element.hidden)
      ?.element.querySelector("h2")
      ?.focus();
  };
  window.addEventListener("hashchange", follow, { signal: leaving });
  const items = links.map((link) => createElement("li", {}, link));
  return createElement("nav", { "aria-label": "Calling patterns" }, createElement("ul", {}, ...items));
}
