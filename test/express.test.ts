import { Agent, createServer, request } from "node:http";
import { type ExpressProxy, createHandler } from "@keyway/express";
import express5, { type Express, type RequestHandler } from "express";
import express4 from "express4";
import supertest from "supertest";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Mount, listen } from "./conformance/mount.ts";
import { byName, listenToConsole, requestId, run, stage, submit } from "./conformance/stage.ts";
import { type Upstream, always, startUpstream } from "./upstream.ts";
import { answerTo } from "./wire.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();

const path = "/api/fal/proxy";
const odd = '{ "seed":9007199254740993, "a":1.0, "a":2, "b":"\\u00e9" }';
const bearer = { authorization: "Bearer ada" };

type Build = (app: Express, proxy: ExpressProxy) => void;

interface Rig {
  readonly upstream: Upstream;
  readonly log: readonly string[];
  readonly http: ReturnType<typeof supertest>;
}

/** An app of the given version around a proxy, not listening: supertest does that. */
async function rig(express: typeof express5, build: Build): Promise<Rig> {
  const upstream = await startUpstream();
  const proxy = createHandler({ authorize: byName, endpoints: "any", upstream: upstream.option });
  const app = express();
  build(app, proxy);
  onTestFinished(async () => {
    await upstream.close();
    await proxy.close();
  });
  return { upstream, log: listenToConsole(), http: supertest(app) };
}

const fall: RequestHandler = (_request, response) => void response.status(299).send("fell through");

describe.each([
  ["express 4", express4],
  ["express 5", express5],
])("%s", (_version, express) => {
  const keepRaw = (request: unknown, _response: unknown, bytes: Buffer): void => {
    (request as { rawBody: Buffer }).rawBody = bytes;
  };

  it.each<[string, Build]>([
    ["before every parser", (app, proxy) => void app.use(path, proxy).use(express.json())],
    ["after express.raw()", (app, proxy) => void app.use(express.raw({ type: "*/*" })).use(path, proxy)],
    [
      "after express.json() that keeps rawBody",
      (app, proxy) => void app.use(express.json({ verify: keepRaw })).use(path, proxy),
    ],
    [
      "after a parser of other types",
      (app, proxy) => void app.use(express.urlencoded({ extended: true })).use(path, proxy),
    ],
    [
      "in a router of a router",
      (app, proxy) => void app.use("/api", express.Router().use("/fal", express.Router().use("/proxy", proxy))),
    ],
    ["by app.all", (app, proxy) => void app.all(path, proxy)],
    ["at the root", (app, proxy) => void app.use(proxy)],
  ])("mounted %s the bytes pass", async (_name, build) => {
    const { upstream, http } = await rig(express, build);
    const answer = await http.post(path).set(bearer).set("x-fal-target-url", run).type("application/json").send(odd);
    expect([answer.status, answer.body]).toEqual([200, { ok: true }]);
    expect(String(await upstream.arrivals[0]?.whole)).toBe(odd);
    expect(upstream.arrivals[0]?.values("content-length")).toEqual([String(odd.length)]);
  });

  it.each<[string, Build]>([
    ["express.json()", (app, proxy) => void app.use(express.json()).use(path, proxy)],
    ["express.text()", (app, proxy) => void app.use(express.text({ type: "*/*" })).use(path, proxy)],
  ])("after %s: a clear 500, the mount order in the log, nothing sent", async (_name, build) => {
    const { upstream, http, log } = await rig(express, build);
    for (const target of [run, submit]) {
      const answer = await http
        .post(path)
        .set(bearer)
        .set("x-fal-target-url", target)
        .type("application/json")
        .send(odd);
      expect([answer.status, answer.body.code]).toEqual([500, "body_consumed"]);
      expect(JSON.stringify(answer.body)).not.toContain("express");
    }
    expect(log.join("\n")).toContain('app.use("/api/fal/proxy", proxy); app.use(express.json())');
    expect(upstream.connections).toBe(0);
  });

  it("after express.json() what has no body passes", async () => {
    const { upstream, http } = await rig(express, (app, proxy) => void app.use(express.json()).use(path, proxy));
    upstream.answer(always(200, { "content-type": "application/json" }, JSON.stringify({ request_id: requestId })));
    const empty = await http.post(path).set(bearer).set("x-fal-target-url", submit).type("application/json");
    expect(empty.status).toBe(200);
    const job = `${submit}/requests/${String(empty.body.request_id)}`;
    expect((await http.get(path).set(bearer).set("x-fal-target-url", `${job}/status`)).status).toBe(200);
    expect((await http.put(path).set(bearer).set("x-fal-target-url", `${job}/cancel`)).status).toBe(200);
    expect(await Promise.all(upstream.arrivals.map(({ whole }) => whole))).toEqual(
      [0, 0, 0].map(() => Buffer.alloc(0)),
    );
  });

  it("an answer in place of upstream's leaves the caller's connection open", async () => {
    const { upstream, path: pathOf } = await stage({
      name: "express",
      transport: "node",
      startMount(options) {
        const proxied = createHandler(options);
        return listen(createServer(express().use(path, proxied)), proxied);
      },
    });
    upstream.answer(always(302, { location: run }, ""));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async (): Promise<[number | undefined, boolean]> => {
      const headers = { ...bearer, "content-type": "application/json" };
      const asked = request(pathOf(run), { agent, method: "POST", headers }).end("{}");
      const answer = await answerTo(asked);
      for await (const _piece of answer);
      return [answer.statusCode, asked.reusedSocket];
    };
    expect([await ask(), await ask()]).toEqual([
      [502, false],
      [502, true],
    ]);
    agent.destroy();
  });

  it.each([
    ["an answer", run, 200],
    ["a refusal", "https://evil.example/a/b", 400],
    ["an unknown path", undefined, 400],
  ])("%s is the end: next() is never called", async (_name, target, status) => {
    let reached = 0;
    const after: RequestHandler = (request, response, next) => {
      reached += 1;
      fall(request, response, next);
    };
    const { http } = await rig(express, (app, proxy) => void app.use(path, proxy).use(after));
    const headers = target === undefined ? {} : { "x-fal-target-url": target };
    const answer = await http.post(path).set(bearer).set(headers).type("application/json").send("{}");
    expect(answer.status).toBe(status);
    expect(reached).toBe(0);
  });

  it("nor when upstream fails, and no error handler is asked", async () => {
    const reached: unknown[] = [];
    const { upstream, http } = await rig(express, (app, proxy) => {
      app.use(path, proxy).use(fall);
      app.use(((error, _request, response, _next) => {
        reached.push(error);
        response.status(599).end();
      }) as express5.ErrorRequestHandler);
    });
    upstream.answer(({ socket }) => socket.resetAndDestroy());
    const answer = await http.post(path).set(bearer).set("x-fal-target-url", run).type("application/json").send("{}");
    expect([answer.status, reached]).toEqual([500, []]);
  });

  it("the rest of the app is the app's", async () => {
    const { upstream, http } = await rig(express, (app, proxy) => void app.use(path, proxy).use(fall));
    expect((await http.get("/")).status).toBe(299);
    expect((await http.get("/api/fal/proxyx")).status).toBe(299);
    expect(upstream.connections).toBe(0);
  });

  it.each([422, 429, 500, 503])("status %i is the answer's status", async (status) => {
    const { upstream, http } = await rig(express, (app, proxy) => void app.use(path, proxy).use(fall));
    upstream.answer(always(status, { "content-type": "application/json" }, '{"detail":"no"}'));
    const answer = await http.post(path).set(bearer).set("x-fal-target-url", run).type("application/json").send("{}");
    expect([answer.status, answer.body]).toEqual([status, { detail: "no" }]);
  });

  it("authorize sees the request as the app's own middleware left it", async () => {
    const mount: Mount = {
      name: "with a session",
      transport: "node",
      startMount(options) {
        const proxy = createHandler(options);
        const session: RequestHandler = (request, _response, next) => {
          Object.assign(request, { user: "ada" });
          next();
        };
        return listen(createServer(express().use(session).use(path, proxy)), proxy);
      },
    };
    const { ask } = await stage(mount, { authorize: ({ native }) => ({ id: (native as { user: string }).user }) });
    expect((await ask(run, { as: null })).status).toBe(200);
  });

  it("mounted twice, each has its own options", async () => {
    const upstream = await startUpstream();
    const open = createHandler({ authorize: byName, endpoints: "any", upstream: upstream.option });
    const shut = createHandler({ authorize: byName, endpoints: [], upstream: upstream.option });
    onTestFinished(() => Promise.all([upstream.close(), open.close(), shut.close()]).then(() => undefined));
    const http = supertest(express().use("/open", open).use("/shut", shut));
    const ask = (at: string) =>
      http.post(at).set(bearer).set("x-fal-target-url", run).type("application/json").send("{}");
    expect([(await ask("/open")).status, (await ask("/shut")).status]).toEqual([200, 403]);
  });
});
