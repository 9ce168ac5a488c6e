import { createElement } from "./element.ts";
import { createTextArea, createTextField, type Field } from "./fields.ts";

export type Input = Record<string, unknown>;

/** The endpoint's id, with the ones at hand as suggestions. */
export function createEndpointField(value: string, suggestions: readonly string[]): Field<string> {
  return createTextField({ label: "Endpoint", value, suggestions });
}

/** The input that most models take: a prompt, and whatever else this one understands. */
export function createInputField(prompt: string): Field<Input> {
  const text = createTextArea({ label: "Prompt", value: prompt });
  const more = createTextArea({
    label: "Further input as JSON",
    hint: "Merged with the prompt.",
    placeholder: '{ "seed": 7 }',
    code: true,
  });
  const folded = createElement("details", {}, createElement("summary", {}, "More input"), more.element);
  return {
    element: createElement("div", { class: "fields" }, text.element, folded),
    get value() {
      return { ...(text.value === "" ? {} : { prompt: text.value }), ...parseObject(more.value) };
    },
  };
}

function parseObject(json: string): Input {
  if (json === "") return {};
  const value: unknown = parse(json);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error('The further input is not a JSON object such as { "seed": 7 }.');
  }
  return { ...value };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
