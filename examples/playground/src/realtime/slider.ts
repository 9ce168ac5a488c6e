import { createElement, createId } from "../element.ts";
import type { Field } from "../fields.ts";

/** A whole number from 0 to `most`, by dragging or by the arrow keys. */
export function createSlider({ label, most, hint }: { label: string; most: number; hint: string }): Field<number> {
  const id = createId();
  const described = createId();
  const input = createElement("input", {
    type: "range",
    id,
    min: "0",
    max: String(most),
    value: "0",
    "aria-describedby": described,
  });
  return {
    element: createElement(
      "div",
      { class: "field" },
      createElement("label", { for: id }, label),
      input,
      createElement("p", { class: "hint", id: described }, hint),
    ),
    get value() {
      return input.valueAsNumber;
    },
  };
}
