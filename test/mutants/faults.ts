/** A planted fault: what to write in place of what, and the part of the suite that must notice. */
export interface Fault {
  readonly name: string;
  /** Below packages/. */
  readonly file: string;
  /** Every occurrence is replaced; a text that does not occur is an error. */
  readonly replace: Readonly<Record<string, string>>;
  /** Test files below test/. */
  readonly seenBy: readonly string[];
}

const node = ["conformance/node.test.ts"];
const web = ["conformance/web.test.ts"];
const express = ["express.test.ts"];

export const faults: readonly Fault[] = [
  {
    name: "every status is 200",
    file: "core/src/exchange.ts",
    replace: { "return { status, headers, body, flush:": "return { status: 200, headers, body, flush:" },
    seenBy: node,
  },
  {
    name: "the request is parsed and written again",
    file: "node/src/carry.ts",
    replace: {
      "count(run, await collectBody(run.req, limits))":
        "count(run, Buffer.from(JSON.stringify(JSON.parse(String(await collectBody(run.req, limits))))))",
    },
    seenBy: express,
  },
  {
    name: "streams are buffered to their end",
    file: "node/src/carry.ts",
    replace: { "if (res.write(bytes)) return;": "res.cork(); if (res.write(bytes)) return;" },
    seenBy: node,
  },
  {
    name: "the head waits for the first event",
    file: "node/src/carry.ts",
    replace: { "if (answer.flush) res.flushHeaders();": "" },
    seenBy: node,
  },
  {
    name: "upstream is read whether or not the caller reads",
    file: "node/src/carry.ts",
    replace: { "controller.pause();": "" },
    seenBy: ["memory.test.ts"],
  },
  {
    name: "a caller who leaves leaves upstream running",
    file: "node/src/carry.ts",
    replace: { 'run.controller.abort(new Error("broken off"));': "run.attempts += 0;" },
    seenBy: node,
  },
  {
    name: "a submit is given up when its caller leaves",
    file: "core/src/exchange.ts",
    replace: { 'call.kind === "submit" || call.kind === "cancel" ? "finish" : "abort"': '"abort"' },
    seenBy: node,
  },
  {
    name: "the key stands in an error",
    file: "core/src/exchange.ts",
    replace: {
      "refusal = failure(ending, error, call);":
        "refusal = failure(ending, error, call); refusal = new ProxyError(refusal.code, { message: `no answer to Key ${admitted.apiKey}` });",
    },
    seenBy: ["secrets.test.ts"],
  },
  {
    name: "the log is not scrubbed",
    file: "core/src/observe.ts",
    replace: { '"[redacted]"': "form" },
    seenBy: ["secrets.test.ts"],
  },
  {
    name: "next() after answering",
    file: "express/src/handler.ts",
    replace: {
      "(req: ExpressRequest, res: ServerResponse): Promise<void> =>":
        "(req: ExpressRequest, res: ServerResponse, next?: unknown): Promise<void> =>",
      "body: bodyOf(req) });": "body: bodyOf(req) }).then(() => (next as () => void)());",
    },
    seenBy: express,
  },
  {
    name: "a body that a parser ate is sent as nothing",
    file: "express/src/handler.ts",
    replace: { "if (!req.readableEnded) return undefined;": "return undefined;" },
    seenBy: express,
  },
  {
    name: "redirects are followed (web)",
    file: "core/src/sender.ts",
    replace: { 'redirect: "manual"': 'redirect: "follow"' },
    seenBy: web,
  },
  {
    name: "redirects are followed (Node)",
    file: "node/src/upstream.ts",
    replace: {
      'import { Pool } from "undici";': 'import { Pool, interceptors } from "undici";',
      "pools.set(origin, pool);":
        "pool = pool.compose(interceptors.redirect({ maxRedirections: 3 })) as never; pools.set(origin, pool as Pool);",
    },
    seenBy: node,
  },
  {
    name: "redirects pass in path form",
    file: "core/src/exchange.ts",
    replace: { 'return new ProxyError("upstream_redirect");': "return undefined;" },
    seenBy: node,
  },
  {
    name: "cookies are forwarded",
    file: "core/src/rules/headers.ts",
    replace: { '  "last-event-id",': '  "last-event-id",\n  "cookie",' },
    seenBy: node,
  },
  {
    name: "upstream's cookies cross",
    file: "core/src/rules/headers.ts",
    replace: { '  "content-range",': '  "content-range",\n  "set-cookie",' },
    seenBy: node,
  },
  {
    name: "no-store is missing",
    file: "core/src/rules/headers.ts",
    replace: { '"no-store, private"': '"private"' },
    seenBy: node,
  },
  {
    name: "a cut answer is ended cleanly",
    file: "node/src/carry.ts",
    replace: { "  run.res.destroy();\n  finish(": "  run.res.end();\n  finish(" },
    seenBy: node,
  },
  {
    name: "a POST is sent again",
    file: "node/src/carry.ts",
    replace: { "run.exchange.up.repeatable &&": "" },
    seenBy: node,
  },
  {
    name: "a POST is sent again (web)",
    file: "core/src/web.ts",
    replace: { "!up.repeatable ||": "" },
    seenBy: web,
  },
  {
    name: "a host that begins alike is accepted",
    file: "core/src/rules/target.ts",
    replace: { "(name) => name === host);": "(name) => host.startsWith(name));" },
    seenBy: node,
  },
  {
    name: "the seal is not checked",
    file: "core/src/seal.ts",
    replace: {
      "if (isSame(await macOf(secret, { ...subject, requestId }), given)) opened = true;": "opened = secret !== given;",
    },
    seenBy: node,
  },
  {
    name: "the seal fits every caller",
    file: "core/src/seal.ts",
    replace: { '"keyway job 1", subject.caller,': '"keyway job 1",' },
    seenBy: node,
  },
  {
    name: "an id that two chunks share is not sealed",
    file: "core/src/rewrite.ts",
    replace: { "const hold = heldLength(bytes, done, needle);": "const hold = 0 * heldLength(bytes, done, needle);" },
    seenBy: node,
  },
  {
    name: "the origin is not checked",
    file: "core/src/plan.ts",
    replace: { "checkOrigin(head, address.form, settings);": "" },
    seenBy: node,
  },
  {
    name: "an authorize that throws lets the call through",
    file: "core/src/rules/caller.ts",
    replace: {
      'throw new ProxyError("authorize_failed", { cause, log: "authorize failed, so the call was refused" });':
        'void cause; return { id: "somebody" };',
    },
    seenBy: node,
  },
  {
    name: "money is not given back",
    file: "core/src/store.ts",
    replace: { 'if (outcome === "release") return 0;': "" },
    seenBy: node,
  },
  {
    name: "fal's certificate is not checked",
    file: "node/src/upstream.ts",
    replace: { "rejectUnauthorized: true": "rejectUnauthorized: false" },
    seenBy: ["tls.test.ts"],
  },
  {
    name: "a caller's upload that upstream never took ends the process",
    file: "node/src/carry.ts",
    replace: { "  run.upload?.destroy();\n": "  run.upload?.removeAllListeners();\n" },
    seenBy: node,
  },
];
