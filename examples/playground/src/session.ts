import { createElement, createId } from "./element.ts";

/** Who is signed in, and the panel to change that. */
export interface SessionPanel {
  readonly element: HTMLElement;
  /** Shows the session that the page began with. */
  begin(user: string | undefined): void;
  /** Signs somebody in, unless he is. Rejects when the app refuses. */
  signInAs(user: string): Promise<void>;
}

export function createSessionPanel(url: string, tell: (user: string | undefined) => void): SessionPanel {
  const element = createElement("section", { class: "session", "aria-label": "Session" });
  const problem = createElement("p", { class: "problem", role: "alert" });

  let current: string | undefined;

  const show = (user: string | undefined): HTMLElement => {
    current = user;
    const view = user === undefined ? createSignIn(signIn) : createSignedIn(user, signOut);
    problem.textContent = "";
    element.replaceChildren(view.element, problem);
    tell(user);
    return view.control;
  };
  const attempt = async (request: Promise<string | undefined>): Promise<void> => {
    try {
      show(await request).focus();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const signIn = (user: string): void => void attempt(postSession(url, user));
  const signOut = (): void => void attempt(deleteSession(url));
  return {
    element,
    begin: show,
    async signInAs(user) {
      if (user !== current) show(await postSession(url, user));
    },
  };
}

interface View {
  readonly element: HTMLElement;
  /** What takes the focus. */
  readonly control: HTMLElement;
}

function createSignIn(submit: (user: string) => void): View {
  const input = createElement("input", {
    id: createId(),
    type: "text",
    required: true,
    maxlength: "32",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
  });
  input.value = "ada";
  const label = createElement("label", { for: input.id }, "Sign in as");
  const form = createElement("form", {}, label, input, createElement("button", { type: "submit" }, "Sign in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(input.value.trim());
  });
  return { element: form, control: input };
}

function createSignedIn(user: string, signOut: () => void): View {
  const button = createElement("button", { type: "button", class: "quiet" }, "Sign out");
  button.addEventListener("click", signOut);
  const who = createElement("p", {}, "Signed in as ", createElement("strong", {}, user));
  return { element: createElement("div", { class: "signed-in" }, who, button), control: button };
}

async function postSession(url: string, user: string): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
  });
  if (!response.ok) throw new Error(await messageOf(response));
  await response.arrayBuffer(); // an answer that nobody reads keeps its connection
  return user;
}

async function deleteSession(url: string): Promise<undefined> {
  const response = await fetch(url, { method: "DELETE" });
  if (!response.ok) throw new Error(await messageOf(response));
}

async function messageOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined);
  const message = typeof body === "object" && body !== null && "message" in body ? body.message : undefined;
  return typeof message === "string" ? message : `The server answered ${response.status}.`;
}
