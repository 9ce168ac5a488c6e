/** A planted fault: what to write in place of what, and the part of the suite that must notice. */
export interface Fault {
  readonly name: string;
  /** The package whose sources are changed. */
  readonly package: "core" | "node" | "express";
  /** Every occurrence in them is replaced; a text that does not occur is an error. */
  readonly replace: Readonly<Record<string, string>>;
  /** Test files below test/. */
  readonly seenBy: readonly string[];
}

const node = ["conformance/node.test.ts"];
const web = ["conformance/web.test.ts"];
const express = ["express.test.ts"];
const webhooks = ["webhooks/once.test.ts", "webhooks/refused.test.ts", "webhooks/foreign.test.ts"];

export const faults: readonly Fault[] = [
  {
    name: "every status is 200",
    package: "core",
    replace: { "new PassedHead(status, headers, body,": "new PassedHead(200, headers, body," },
    seenBy: node,
  },
  {
    name: "the request is parsed and written again",
    package: "node",
    replace: {
      "return collectBody(run.req, limits);":
        "return collectBody(run.req, limits).then((bytes) => Buffer.from(JSON.stringify(JSON.parse(String(bytes)))));",
    },
    seenBy: express,
  },
  {
    name: "streams are buffered to their end",
    package: "node",
    replace: { "if (writePiece(res, bytes)) return;": "res.cork(); if (writePiece(res, bytes)) return;" },
    seenBy: node,
  },
  {
    name: "the head waits for the first event",
    package: "node",
    replace: { "if (flush) process.nextTick(flushHead, run);": "" },
    seenBy: node,
  },
  {
    name: "upstream is read whether or not the caller reads",
    package: "node",
    replace: { "controller.pause();": "" },
    seenBy: ["memory.test.ts"],
  },
  {
    name: "calls outlive their end once many were open together",
    package: "core",
    replace: { "new CallExchange(new AdmittedCall(admitted))": "new CallExchange(admitted)" },
    seenBy: ["memory.test.ts"],
  },
  {
    name: "a submit is not known again where the app has webhooks",
    package: "core",
    replace: { "digestOf(admitted, asked, body)": "digestOf(admitted, admitted.query, body)" },
    seenBy: ["guard/replay.test.ts"],
  },
  {
    name: "an answer of ours in place of upstream's breaks the connection",
    package: "node",
    replace: {
      'run.finish("complete");\n    run.controller?.abort(answeredHere);':
        'run.controller?.abort(answeredHere);\n    run.finish("complete");',
    },
    seenBy: ["express.test.ts"],
  },
  {
    name: "a caller who leaves leaves upstream running",
    package: "node",
    replace: { "this.controller.abort(brokenOff);": "this.attempts += 0;" },
    seenBy: node,
  },
  {
    name: "a submit is given up when its caller leaves",
    package: "core",
    replace: { 'call.kind === "submit" || call.kind === "cancel" ? "finish" : "abort"': '"abort"' },
    seenBy: node,
  },
  {
    name: "the key stands in an error",
    package: "core",
    replace: {
      "refusal = failure(ending, error, call);":
        "refusal = new ProxyError(failure(ending, error, call).code, { message: `no answer to Key ${this.#admitted.apiKey}` });",
    },
    seenBy: ["secrets.test.ts"],
  },
  {
    name: "the log is not scrubbed",
    package: "core",
    replace: { '"[redacted]"': "form" },
    seenBy: ["secrets.test.ts"],
  },
  {
    name: "next() after answering",
    package: "express",
    replace: {
      "(req: ExpressRequest, res: ServerResponse): Promise<void> =>":
        "(req: ExpressRequest, res: ServerResponse, next?: unknown): Promise<void> =>",
      "body: bodyOf(req, lost.proxy) });": "body: bodyOf(req, lost.proxy) }).then(() => (next as () => void)());",
    },
    seenBy: express,
  },
  {
    name: "a body that a parser ate is sent as nothing",
    package: "express",
    replace: { "if (!req.readableEnded) return undefined;": "return undefined;" },
    seenBy: express,
  },
  {
    name: "redirects are followed (web)",
    package: "core",
    replace: { 'redirect: "manual"': 'redirect: "follow"' },
    seenBy: web,
  },
  {
    name: "redirects are followed (Node)",
    package: "node",
    replace: {
      'import { Pool } from "undici";': 'import { Pool, interceptors } from "undici";',
      "pools.set(origin, pool);":
        "pool = pool.compose(interceptors.redirect({ maxRedirections: 3 })) as never; pools.set(origin, pool as Pool);",
    },
    seenBy: node,
  },
  {
    name: "redirects pass in path form",
    package: "core",
    replace: { 'return new ProxyError("upstream_redirect");': "return undefined;" },
    seenBy: node,
  },
  {
    name: "cookies are forwarded",
    package: "core",
    replace: { '  "last-event-id",': '  "last-event-id",\n  "cookie",' },
    seenBy: node,
  },
  {
    name: "upstream's cookies cross",
    package: "core",
    replace: { '  "content-range",': '  "content-range",\n  "set-cookie",' },
    seenBy: node,
  },
  {
    name: "no-store is missing",
    package: "core",
    replace: { '"no-store, private"': '"private"' },
    seenBy: node,
  },
  {
    name: "a cut answer is ended cleanly",
    package: "node",
    replace: { "  breakAnswer(this.res);\n    this.finish(": "  this.res.end();\n    this.finish(" },
    seenBy: node,
  },
  {
    name: "a caller is late while upstream takes nothing",
    package: "node",
    replace: { "      following.rest();\n": "" },
    seenBy: ["node-transport.test.ts"],
  },
  {
    name: "a POST is sent again",
    package: "node",
    replace: { "exchange.up.repeatable &&": "" },
    seenBy: node,
  },
  {
    name: "a POST is sent again (web)",
    package: "core",
    replace: { "!up.repeatable ||": "" },
    seenBy: web,
  },
  {
    name: "a host that begins alike is accepted",
    package: "core",
    replace: { "(name) => name === host);": "(name) => host.startsWith(name));" },
    seenBy: node,
  },
  {
    name: "the seal is not checked",
    package: "core",
    replace: { "isSame(await macOf(secret, { ...subject, requestId }), given)": "secret !== given" },
    seenBy: node,
  },
  {
    name: "the seal fits every caller",
    package: "core",
    replace: { '"keyway job 1", caller,': '"keyway job 1",' },
    seenBy: node,
  },
  {
    name: "an id that two chunks share is not sealed",
    package: "core",
    replace: { "const hold = heldLength(bytes, done, needle);": "const hold = 0 * heldLength(bytes, done, needle);" },
    seenBy: node,
  },
  {
    name: "the origin is not checked",
    package: "core",
    replace: { "checkOrigin(head, address.form, settings);": "" },
    seenBy: node,
  },
  {
    name: "an authorize that throws lets the call through",
    package: "core",
    replace: {
      "throw authorizeFailed(cause);": 'void cause; return { id: "somebody" };',
    },
    seenBy: node,
  },
  {
    name: "money is not given back",
    package: "core",
    replace: { 'if (outcome === "release") return 0;': "" },
    seenBy: node,
  },
  {
    name: "fal's certificate is not checked",
    package: "node",
    replace: { "rejectUnauthorized: true": "rejectUnauthorized: false" },
    seenBy: ["tls.test.ts"],
  },
  {
    name: "a caller's upload that upstream never took is left lying",
    package: "node",
    replace: { "  this.upload?.destroy();\n": "  this.upload?.removeAllListeners();\n" },
    seenBy: ["node-transport.test.ts"],
  },
  {
    name: "a socket's close frame stands in the middle of a message",
    package: "node",
    replace: { "if (!isAtFrameBoundary(lane.scan)) {": "if (lane.bytes < 0) {" },
    seenBy: ["sockets/life.test.ts"],
  },
  {
    name: "a socket's slow reader is not waited for",
    package: "node",
    replace: { "  lane.from.pause();\n  const": "  const" },
    seenBy: ["sockets/life.test.ts", "sockets/load.test.ts"],
  },
  {
    name: "a socket's caller who leaves during the dial is not noticed",
    package: "node",
    replace: { 'socket.on("data", onData).on("end", leave).on("close", leave);': 'socket.on("data", onData);' },
    seenBy: ["sockets/handshakes.test.ts"],
  },
  {
    name: "a socket's upgrade is answered by every mount",
    package: "node",
    replace: { "  if (taken.has(req)) return false;\n": "" },
    seenBy: ["sockets/attach.test.ts"],
  },
  {
    name: "a webhook's signature is not checked",
    package: "core",
    replace: { "if (await isSigned(key, signature, message)) return true;": "return true;" },
    seenBy: webhooks,
  },
  {
    name: "a webhook's time is not checked",
    package: "core",
    replace: { 'if (!(Math.abs(now - timestamp) <= tolerance)) return refuse("timestamp_outside_window");': "" },
    seenBy: webhooks,
  },
  {
    name: "whoever delivers a webhook is taken for ours",
    package: "core",
    replace: { 'return tag === undefined ? "no_tag" : "wrong_tag";': "return undefined;" },
    seenBy: webhooks,
  },
  {
    name: "a delivery is handled without a claim",
    package: "core",
    replace: { "if (await settings.askStore((store) => store.claim(key, handlerLease))) return": "return" },
    seenBy: webhooks,
  },
];
