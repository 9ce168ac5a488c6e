import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type Arrival, type Upstream, respond, startUpstream } from "../upstream.ts";
import type { Ticket, Tickets } from "./tickets.ts";
import type { Webhooks } from "./webhooks.ts";

const second = 1000;

/** fal.ai for the length of the run: answers each call as its ticket says. `finish` ends the streams that stayed. */
export async function startSoakUpstream(tickets: Tickets, webhooks: Webhooks): Promise<Upstream & { finish(): void }> {
  const upstream = await startUpstream();
  const staying = new Set<() => void>();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

  upstream.answer((arrival) => {
    // A long run brings many calls over one connection, and none is looked at again.
    (upstream.arrivals as Arrival[]).length = 0;
    if (webhooks.answer(arrival)) return;
    const ticket = tickets.find(arrival.url);
    if (ticket === undefined) return respond(arrival.response, 200, { "content-type": "application/json" }, "{}");
    if (arrival.url.includes("/stream")) stream(arrival, ticket, staying);
    else call(arrival, ticket);
  });

  upstream.upgrade((request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const ticket = tickets.find(request.url ?? "");
    if (ticket?.fate === "failed") return void socket.end("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on("error", () => undefined);
      accepted.on("message", (data) => {
        if (ticket === undefined) return accepted.send(data);
        ticket.sent += 1;
        accepted.send(data);
        if (ticket.fate === "reset" && ticket.sent >= ticket.events) socket.destroy();
      });
    });
  });
  return Object.assign(upstream, {
    finish() {
      for (const end of staying) end();
    },
  });
}

/** Sends back what it got. */
function call({ response, whole, socket }: Arrival, { fate }: Ticket): void {
  const type = { "content-type": "application/json" };
  whole.then(
    (body) => {
      if (fate === "failed") respond(response, 503, type, '{"detail":"down"}');
      else if (fate === "left") setTimeout(() => respond(response, 200, type, body), 500);
      else if (fate === "whole") respond(response, 200, type, body);
      else {
        response.writeHead(200, { ...type, "content-length": body.length });
        response.write(body.subarray(0, 10), () => socket.resetAndDestroy());
      }
    },
    () => undefined,
  );
}

/** One numbered event a second. */
function stream({ response, socket, closed }: Arrival, ticket: Ticket, staying: Set<() => void>): void {
  if (ticket.fate === "failed") return respond(response, 503, { "content-type": "application/json" }, "{}");
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  const timer = setInterval(() => {
    ticket.sent += 1;
    response.write(`data: ${ticket.sent}\n\n`);
    if (ticket.sent < ticket.events || ticket.fate === "stays") return;
    if (ticket.fate === "whole") end();
    else if (ticket.fate === "reset") socket.resetAndDestroy();
  }, second);
  const end = (): void => void response.end();
  const over = (): void => {
    clearInterval(timer);
    staying.delete(end);
  };
  staying.add(end);
  response.once("close", over);
  void closed.then(over);
}
