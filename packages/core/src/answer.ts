import { ProxyError } from "./errors.ts";
import type { Head, Header, HeaderList } from "./head.ts";
import type { Settings } from "./options.ts";
import { ownHeaders } from "./rules/headers.ts";
import { corsHeaders } from "./rules/origin.ts";
import type { Answer } from "./seam.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);

/** A refusal as every official client can read it: one of `message` and `detail` is what each of them shows. */
export function toAnswer(error: ProxyError, head: Head, settings: Settings): Answer {
  const { message, code, status } = error;
  const answer = jsonAnswer(status, { message, detail: message, code }, head, settings);
  return { ...answer, headers: [...error.headers, ...answer.headers] };
}

/** An answer of our own as JSON. */
export function jsonAnswer(status: number, value: unknown, head: Head, settings: Settings): Answer {
  const body = encoder.encode(JSON.stringify(value));
  return { type: "answer", status, headers: [...jsonHeaders(body), ...commonHeaders(head, settings)], body };
}

function jsonHeaders(body: Uint8Array): Header[] {
  return [
    ["content-type", "application/json"],
    ["content-length", String(body.length)],
  ];
}

/** An answer without a body. */
export function emptyAnswer(status: number, headers: HeaderList, head: Head, settings: Settings): Answer {
  return { type: "answer", status, headers: [...headers, ...commonHeaders(head, settings)], body: nothing };
}

function commonHeaders(head: Head, settings: Settings): HeaderList {
  return [...ownHeaders("plain", settings.origins.length > 0), ...corsHeaders(head.headers, settings)];
}

/** Any thrown thing as a ProxyError: what was not foreseen becomes `internal`, with the cause for the log. */
export function toProxyError(error: unknown): ProxyError {
  return error instanceof ProxyError ? error : new ProxyError("internal", { cause: error, log: "unexpected failure" });
}
