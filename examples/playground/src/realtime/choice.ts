import { createElement, createId } from "../element.ts";
import type { Field } from "../fields.ts";

/** One way of several, with a sentence on what it means. */
interface Option<Value extends string> {
  readonly value: Value;
  readonly label: string;
  readonly hint: string;
}

/** Radio buttons, all of them in sight; the first is chosen. */
export function createChoice<Value extends string>(
  label: string,
  options: readonly [Option<Value>, ...Option<Value>[]],
): Field<Value> {
  const name = createId();
  const [first] = options;
  const entries = options.map(({ value, label: text, hint }) => {
    const id = createId();
    const input = createElement("input", { type: "radio", name, value, "aria-describedby": id });
    const title = createElement("label", { class: "check" }, input, text);
    const words = createElement("p", { class: "hint", id }, hint);
    return { value, input, element: createElement("div", {}, title, words) };
  });
  if (entries[0] !== undefined) entries[0].input.checked = true;
  return {
    element: createElement(
      "fieldset",
      { class: "choice" },
      createElement("legend", {}, label),
      ...entries.map(({ element }) => element),
    ),
    get value() {
      return entries.find(({ input }) => input.checked)?.value ?? first.value;
    },
  };
}
