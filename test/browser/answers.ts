import type { BrowserContext, Response } from "playwright-core";

/** Keeps every answer that a browser is given from now on: address, status, headers and body as one text. */
export function watchAnswers(context: BrowserContext): () => Promise<readonly string[]> {
  const answers: Promise<string>[] = [];
  context.on("response", (response) => answers.push(toText(response)));
  return () => Promise.all(answers);
}

async function toText(response: Response): Promise<string> {
  const head = JSON.stringify([response.url(), response.status(), await response.allHeaders().catch(() => ({}))]);
  // redirects, preflights and what was left have none
  const body = await response.body().catch(() => Buffer.alloc(0));
  return `${head}\n${body.toString("latin1")}`;
}

/** A signed token, as fal gives them (RFC 7519). */
export const token = /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/;
