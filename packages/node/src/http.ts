import type { IncomingMessage, ServerResponse } from "node:http";
import { type Answer, type Door, type Exchange, ProxyError, announcesBody, isPending } from "@keyway/core";
import { carryOut } from "./carry.ts";
import { sendAnswer } from "./answer.ts";
import { toHead } from "./head.ts";
import { type GivenBody, bodyConsumed, collectBody } from "./request-body.ts";
import type { Runtime } from "./runtime.ts";

/** What a framework's door knows beside the raw request. */
export interface HandleContext {
  /** The mount path, when the framework knows it; the rest of the URL must then follow it. */
  readonly mount?: string | undefined;
  /** What the framework took off the beginning of the path, such as Next's `basePath`. */
  readonly base?: string | undefined;
  /** Handed to `authorize` as `native`. */
  readonly native?: unknown;
  /** Where the body is, when somebody read it before. */
  readonly body?: GivenBody | undefined;
}

/** How long an answered caller may go on sending a body that nobody wants, so that he can read the answer. Milliseconds. */
const lingering = 5000;

/** Answers one request. Never rejects. */
export function handleRequest(
  req: IncomingMessage,
  res: ServerResponse,
  context: HandleContext,
  runtime: Runtime,
): Promise<void> {
  const door = new RequestDoor(req, res, context, runtime);
  const { body: given } = context;
  prepare(req, res, door);
  const decided = runtime.keyway.plan(door);
  if (!isPending(decided)) return answer(decided, req, res, given, runtime);
  runtime.deciding += 1;
  return decided.then((found) => {
    runtime.deciding -= 1;
    return answer(found, req, res, given, runtime);
  });
}

function answer(
  decided: Answer | Exchange,
  req: IncomingMessage,
  res: ServerResponse,
  given: GivenBody | undefined,
  runtime: Runtime,
): Promise<void> {
  if (decided.type === "exchange") return carryOut(decided, req, res, given, runtime);
  sendAnswer(res, decided);
  return Promise.resolve();
}

/** Answers one webhook delivery of fal's. Never rejects. */
export async function handleWebhook(
  req: IncomingMessage,
  res: ServerResponse,
  context: HandleContext,
  runtime: Runtime,
): Promise<void> {
  const door = new RequestDoor(req, res, context, runtime);
  prepare(req, res, door);
  const entry = { cut: () => void res.destroy(), place: -1 };
  runtime.open.add(entry);
  const received = await runtime.keyway.receive(door);
  runtime.open.delete(entry);
  sendAnswer(res, received);
}

/** Errors show up as `close`, and Node tells those of a request only to who listens; who is answered while he sends a body may go on for a while. */
function prepare(req: IncomingMessage, res: ServerResponse, { head }: Door): void {
  res.on("error", ignore);
  if (announcesBody(head.headers)) res.on("finish", () => endLingering(req));
}

function endLingering(req: IncomingMessage): void {
  if (!req.complete) setTimeout(() => req.complete || req.destroy(), lingering).unref();
}

/** A class for the reason that is given at `AdmittedCall` of the core. */
class RequestDoor implements Door {
  readonly head: Door["head"];
  readonly native: unknown;
  readonly codings = "pass";
  readonly closing: boolean;
  readonly waitUntil: Door["waitUntil"];
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #given: GivenBody | undefined;
  readonly #stallMs: number;

  constructor(req: IncomingMessage, res: ServerResponse, context: HandleContext, runtime: Runtime) {
    this.head = toHead(req, context.mount, false, context.base);
    this.native = context.native;
    this.closing = runtime.closing;
    this.waitUntil = runtime.waitUntil;
    this.#req = req;
    this.#res = res;
    this.#given = context.body;
    this.#stallMs = runtime.keyway.transport.timeouts.callerBody;
  }

  async body(maxBytes: number): Promise<Uint8Array> {
    const given = this.#given;
    if (given === undefined) return collectBody(this.#req, { maxBytes, stallMs: this.#stallMs });
    if (!(given instanceof Uint8Array)) throw bodyConsumed(given.lost);
    if (given.length > maxBytes) throw new ProxyError("body_too_large");
    return given;
  }

  isGone(): boolean {
    return this.#res.destroyed || this.#res.closed || this.#req.socket.destroyed;
  }
}

function ignore(): void {
  // A socket that breaks shows up as `close`, which is where it is dealt with.
}
