import { createElement, createId } from "./element.ts";
import { tokenize } from "./source.ts";

/** Client code to read and to copy. */
export interface CodeView {
  readonly element: HTMLElement;
  show(source: string): void;
}

export function createCodeView(): CodeView {
  const title = createElement("h3", { id: createId() }, "Code");
  const copy = createElement("button", { type: "button", class: "quiet" }, "Copy");
  const said = createElement("span", { class: "visually-hidden", role: "status" });
  const code = createElement("code");
  const pre = createElement("pre", { class: "mono", tabindex: "0", role: "group", "aria-labelledby": title.id }, code);
  let source = "";

  copy.addEventListener("click", () => {
    void copyText(source, code).then((done) => {
      copy.textContent = done ? "Copied" : "Press Ctrl+C";
      said.textContent = done ? "Code copied" : "Code selected";
      window.setTimeout(() => {
        copy.textContent = "Copy";
        said.textContent = "";
      }, 2000);
    });
  });
  return {
    element: createElement(
      "section",
      { class: "card code", "aria-labelledby": title.id },
      createElement("div", { class: "bar" }, title, copy, said),
      pre,
    ),
    show(text) {
      source = text;
      code.replaceChildren(
        ...[...tokenize(text)].map(({ text: piece, kind }) =>
          kind === undefined ? piece : createElement("span", { class: `token-${kind}` }, piece),
        ),
      );
    },
  };
}

/** Browsers give the clipboard to pages on https and localhost only: elsewhere the text is selected. */
async function copyText(text: string, shownIn: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection()?.selectAllChildren(shownIn);
    return false;
  }
}
