import { createElement, createId } from "./element.ts";
import { formatMoney } from "./units.ts";
import type { Usage } from "./usage.ts";

/** One user's budget: a bar of what is spent and set aside, and the figures. */
export interface BudgetCard {
  readonly element: HTMLElement;
  show(usage: Usage | undefined): void;
}

export function createBudgetCard(user: string): BudgetCard {
  const name = createElement("h4", { id: createId() }, user);
  const total = createElement("p", { class: "budget-total" }, "…");
  const bar = createElement("div", { class: "budget-bar", "aria-hidden": "true" });
  const figures = createElement("dl", {});
  const parts = { spent: createPart(bar, "spent"), reserved: createPart(bar, "reserved") };
  return {
    element: createElement("article", { class: "budget", "aria-labelledby": name.id }, name, total, bar, figures),
    show(usage) {
      total.textContent = usage === undefined ? "no budget" : `${formatMoney(usage.budget.usd)} a ${usage.budget.per}`;
      if (usage === undefined) return figures.replaceChildren();
      const { spent, reserved, left, budget } = usage;
      parts.spent.style.inlineSize = toShare(spent, budget.usd);
      parts.reserved.style.inlineSize = toShare(reserved, budget.usd);
      figures.replaceChildren(
        createFigure("spent", "Spent", spent),
        createFigure("reserved", "Reserved", reserved),
        createFigure("left", "Left", left),
      );
    },
  };
}

function createPart(bar: HTMLElement, name: string): HTMLElement {
  const part = createElement("span", { "data-part": name });
  bar.append(part);
  return part;
}

function createFigure(name: string, label: string, usd: number): HTMLElement {
  const term = createElement("dt", {}, createElement("span", { class: "budget-key", "data-part": name }), label);
  return createElement("div", {}, term, createElement("dd", {}, formatMoney(usd)));
}

function toShare(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.min(100, (100 * part) / whole)}%`;
}
