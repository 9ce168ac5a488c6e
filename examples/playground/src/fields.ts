import { createElement, createId } from "./element.ts";

/** A labelled control of a request form. */
export interface Field<Value> {
  readonly element: HTMLElement;
  readonly value: Value;
}

/** What every field says about itself. */
export interface FieldText {
  readonly label: string;
  /** A sentence below the control. */
  readonly hint?: string;
}

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export function createTextField(
  text: FieldText & { value?: string; placeholder?: string; suggestions?: readonly string[] },
): Field<string> & { set(value: string): void } {
  const options = text.suggestions?.map((value) => createElement("option", { value }));
  const list = options === undefined ? undefined : createElement("datalist", { id: createId() }, ...options);
  const input = createElement("input", {
    type: "text",
    list: list?.id,
    placeholder: text.placeholder,
    spellcheck: "false",
    autocapitalize: "none",
    autocomplete: "off",
  });
  input.value = text.value ?? "";
  return {
    element: createRow(text, input, list),
    get value() {
      return input.value.trim();
    },
    set(value) {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    },
  };
}

export function createTextArea(
  text: FieldText & { value?: string; placeholder?: string; rows?: number; code?: boolean },
): Field<string> {
  const area = createElement("textarea", {
    rows: String(text.rows ?? 2),
    placeholder: text.placeholder,
    class: text.code === true ? "mono" : undefined,
    spellcheck: text.code === true ? "false" : undefined,
  });
  area.value = text.value ?? "";
  return {
    element: createRow(text, area),
    get value() {
      return area.value.trim();
    },
  };
}

export function createNumberField(
  text: FieldText & { value?: number; min: number; max: number; placeholder?: string },
): Field<number | undefined> {
  const { min, max, placeholder } = text;
  const input = createElement("input", {
    type: "number",
    min: String(min),
    max: String(max),
    step: "any",
    inputmode: "decimal",
    placeholder,
  });
  input.value = text.value === undefined ? "" : String(text.value);
  return {
    element: createRow(text, input),
    get value() {
      return input.value === "" ? undefined : input.valueAsNumber;
    },
  };
}

/** A few choices, one of which holds. */
export function createChoice<Choice extends string>(
  text: FieldText & { choices: Readonly<Record<Choice, string>>; value: NoInfer<Choice> },
): Field<Choice> {
  const names = Object.keys(text.choices) as Choice[];
  const options = names.map((name) =>
    createElement("option", { value: name, selected: name === text.value }, text.choices[name]),
  );
  const select = createElement("select", {}, ...options);
  return {
    element: createRow(text, select),
    get value() {
      return names.find((name) => name === select.value) ?? text.value;
    },
  };
}

export function createCheckbox(text: FieldText & { value: boolean }): Field<boolean> {
  const input = createElement("input", { type: "checkbox", checked: text.value });
  const hint = describe(text, input);
  return {
    element: createElement(
      "div",
      { class: "field" },
      createElement("label", { class: "check" }, input, text.label),
      hint,
    ),
    get value() {
      return input.checked;
    },
  };
}

export function createFileField(text: FieldText & { accept: string }): Field<File | undefined> {
  const input = createElement("input", { type: "file", accept: text.accept });
  return {
    element: createRow(text, input),
    get value() {
      return input.files?.[0];
    },
  };
}

function createRow(text: FieldText, control: Control, list?: HTMLElement): HTMLElement {
  control.id = createId();
  const label = createElement("label", { for: control.id }, text.label);
  return createElement("div", { class: "field" }, label, control, list, describe(text, control));
}

function describe({ hint }: FieldText, control: Control): HTMLElement | undefined {
  if (hint === undefined) return undefined;
  const id = createId();
  control.setAttribute("aria-describedby", id);
  return createElement("p", { class: "hint", id }, hint);
}
