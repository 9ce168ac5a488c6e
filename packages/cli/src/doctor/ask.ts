import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { codeOf, messageOf } from "../thrown.ts";

/** An answer as far as the doctor looks at it. */
export interface Answered {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  /** The code of a refusal by Keyway; undefined when somebody else answered. */
  readonly code: string | undefined;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Nobody answered. */
export interface Unanswered {
  readonly why: string;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const within = 10_000;
const mostBytes = 64 * 1024;

/** Asks without following redirects. Never rejects. `node:http` is used because `fetch` sends no handshakes. */
export async function ask(url: URL, question: Question): Promise<Answered | Unanswered> {
  try {
    return await send(url, question);
  } catch (error) {
    return { why: codeOf(error) ?? messageOf(error) };
  }
}

/** Rejects where nothing can be sent, as with a token that no header can hold. */
function send(url: URL, { method = "GET", headers = {}, body }: Question): Promise<Answered> {
  const open = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const request = open(url, { method, headers: { accept: "application/json", ...headers }, agent: false });
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${within / 1000} s`)), within);
    request.once("close", () => clearTimeout(timer));
    request.on("error", reject);
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(toAnswered(response, ""));
    });
    request.on("response", (response) => {
      readText(response).then((text) => resolve(toAnswered(response, text)), reject);
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > mostBytes) break;
  }
  return text;
}

function toAnswered({ statusCode = 0, headers }: IncomingMessage, text: string): Answered {
  const json = parse(text);
  const { code, message, detail } = json;
  const isOurs = typeof code === "string" && typeof message === "string" && typeof detail === "string";
  return {
    status: statusCode,
    header: (name) => headers[name]?.toString(),
    code: isOurs ? code : undefined,
    json,
  };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
