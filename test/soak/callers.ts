import { once } from "node:events";
import { type IncomingMessage, request as startRequest } from "node:http";
import { WebSocket } from "ws";
import { answerTo } from "../wire.ts";
import type { Ticket } from "./tickets.ts";

/** How a call ended for its caller; `refused`: the store was away. Anything but what its ticket says is an error's text. */
export type Outcome = "whole" | "left" | "reset" | "failed" | "refused" | { readonly wrong: string };

/** Resolves when the load is over. */
export interface Over {
  readonly signal: AbortSignal;
}

const padding = "x".repeat(1000);

function post(url: string, ticket: Ticket, path: string, body: string): ReturnType<typeof startRequest> {
  const request = startRequest(url, {
    method: "POST",
    agent: false,
    headers: {
      authorization: `Bearer caller-${ticket.id % 10}`,
      "content-type": "application/json",
      "content-length": body.length,
      "x-fal-target-url": `https://fal.run/demo/echo${path}?ticket=${ticket.id}`,
    },
  });
  request.on("error", () => undefined).end(body);
  return request;
}

/** One JSON call; the answer must be what was sent. */
export async function makeCall(url: string, ticket: Ticket): Promise<Outcome> {
  const body = JSON.stringify({ ticket: ticket.id, padding });
  const request = post(url, ticket, "", body);
  if (ticket.fate === "left") setTimeout(() => request.destroy(), 50 + (ticket.id % 200));
  const response = await answerTo(request).catch(() => undefined);
  if (response === undefined) return ticket.fate === "left" ? "left" : { wrong: `call ${ticket.fate}: no answer` };
  const { text, isWhole } = await read(response, () => undefined);
  return judge(ticket, response.statusCode ?? 0, text, isWhole, text === body);
}

/** Listens to a stream until its fate comes. At the end of the load everybody leaves, but for half of those that stay: upstream ends them. */
export async function listen(url: string, ticket: Ticket, { signal }: Over): Promise<Outcome> {
  const request = post(url, ticket, "/stream", "{}");
  const response = await answerTo(request).catch(() => undefined);
  if (response === undefined) return { wrong: `stream ${ticket.fate}: no answer` };
  const leave = (): void => void request.destroy();
  const leaves = ticket.fate !== "stays" || ticket.id % 2 === 0;
  if (leaves && signal.aborted) leave();
  else if (leaves) signal.addEventListener("abort", leave, { once: true });
  let disorder = "";
  const { text, isWhole } = await read(response, (event) => {
    ticket.received += 1;
    if (event !== `data: ${ticket.received}`) disorder ||= `stream: ${event} came as number ${ticket.received}`;
    if (ticket.fate === "left" && ticket.received >= ticket.events) request.destroy();
  });
  signal.removeEventListener("abort", leave);
  if (disorder !== "") return { wrong: disorder };
  if (response.statusCode === 200 && !isWhole && leaves && (signal.aborted || ticket.fate === "left")) return "left";
  return judge(ticket, response.statusCode ?? 0, text, isWhole, ticket.received === ticket.sent);
}

/** Talks over a socket, a numbered message a second, each of which must come back in order. */
export async function talk(url: string, ticket: Ticket, { signal }: Over): Promise<Outcome> {
  const socket = new WebSocket(`${url.replace("http:", "ws:")}/fal.run/demo/echo/realtime?ticket=${ticket.id}`, {
    headers: { authorization: `Bearer caller-${ticket.id % 10}` },
    perMessageDeflate: false,
  });
  socket.on("error", () => undefined);
  const refusal = await new Promise<IncomingMessage | undefined>((resolve) => {
    socket.once("open", () => resolve(undefined));
    socket.once("unexpected-response", (_request, response) => resolve(response));
  });
  if (refusal !== undefined) {
    const { text } = await read(refusal, () => undefined);
    socket.terminate();
    return judge(ticket, refusal.statusCode ?? 0, text, true, false);
  }
  return converse(socket, ticket, signal);
}

async function converse(socket: WebSocket, ticket: Ticket, signal: AbortSignal): Promise<Outcome> {
  const { fate } = ticket;
  let said = 0;
  let disorder = "";
  const isDone = (): boolean => signal.aborted || (fate !== "stays" && said >= ticket.events);
  const part = (): void => {
    clearInterval(timer);
    if (fate === "left" || (signal.aborted && fate !== "stays")) socket.terminate();
    else if (fate !== "reset" && ticket.received === said) socket.close(1000, "done");
  };
  const timer = setInterval(() => {
    if (isDone()) return part();
    socket.send(String((said += 1)));
  }, 1000);
  signal.addEventListener("abort", part, { once: true });
  socket.on("message", (data: Buffer) => {
    ticket.received += 1;
    if (data.toString() !== String(ticket.received))
      disorder ||= `socket: ${data.toString()} came as ${ticket.received}`;
    if (isDone()) part();
  });
  const [code]: unknown[] = await once(socket, "close");
  clearInterval(timer);
  signal.removeEventListener("abort", part);
  if (disorder !== "") return { wrong: disorder };
  const isWhole = code === 1000 && ticket.received === said && ticket.sent === said;
  if (isWhole && (fate === "whole" || fate === "stays")) return "whole";
  if (code === 1006 && signal.aborted) return "left";
  if (code !== 1000 && (fate === "left" || fate === "reset")) return fate;
  return { wrong: `socket ${fate}: ${String(code)}, ${said} said, ${ticket.received} heard, ${ticket.sent} came up` };
}

function judge({ fate }: Ticket, status: number, text: string, isWhole: boolean, isRight: boolean): Outcome {
  if (status === 500 && text.includes("store_unavailable")) return "refused";
  if (fate === "failed" && status === 503) return "failed";
  if (fate === "reset" && !isWhole) return "reset";
  if (fate === "left") return "left";
  if (status === 200 && isWhole && isRight && (fate === "whole" || fate === "stays")) return "whole";
  return { wrong: `${fate}: ${status}, ${isWhole ? "whole" : "broken"}, ${isRight ? "right" : "not what was sent"}` };
}

/** Reads an answer to its end, and names each event as it comes. */
async function read(
  response: IncomingMessage,
  event: (text: string) => void,
): Promise<{ text: string; isWhole: boolean }> {
  const isStream = response.headers["content-type"] === "text/event-stream";
  let text = "";
  response.setEncoding("utf8");
  try {
    for await (const piece of response) {
      text += String(piece);
      const events = isStream ? text.split("\n\n") : [text];
      text = events.pop() ?? "";
      for (const one of events) event(one);
    }
    return { text, isWhole: response.complete };
  } catch {
    return { text, isWhole: false };
  }
}
