import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type Example, startExample } from "../browser/example.ts";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { run, stream, submit } from "../conformance/stage.ts";
import { type Arrival, type Upstream, always, respond, startUpstream } from "../upstream.ts";
import { createSigner } from "../webhooks/signer.ts";
import { type Sent, open, send } from "../wire.ts";

leaveNothingOpen();

/** The Express example as `npm start` runs it, somebody signed in, and an upstream that does as the test says. */
async function bringUp(): Promise<{
  upstream: Upstream;
  example: Example;
  url: string;
  post(this: void, target: string): Sent;
  token: string;
}> {
  const upstream = await startUpstream();
  const example = await startExample("express", { KEYWAY_UPSTREAM: upstream.url });
  onTestFinished(() => upstream.close());
  const origin = `http://127.0.0.1:${example.port}`;
  const json = ["content-type", "application/json"] as const;
  const signedIn = await send(`${origin}/api/session`, { method: "POST", headers: [json], body: '{"user":"ada"}' });
  const { token }: { token: string } = JSON.parse(signedIn.body.toString());
  const post = (target: string): Sent => ({
    method: "POST",
    headers: [["authorization", `Bearer ${token}`], ["x-fal-target-url", target], json],
    body: "{}",
  });
  return { upstream, example, url: `${origin}/api/fal/proxy`, post, token };
}

/** Resolves when nobody listens any more. */
async function refused(url: string, sent: Sent): Promise<void> {
  for (;;) {
    const answer = await send(url, sent).catch(() => undefined);
    if (answer === undefined || answer.status === 503) return;
  }
}

describe("F25 SIGTERM to the Express example: new calls are refused, open ones end, and it exits with 0", () => {
  it("idle", async () => {
    const { example, url, post } = await bringUp();
    expect((await send(url, post(run))).status).toBe(200);
    await example.close();
  });

  it("during JSON", async () => {
    const { upstream, example, url, post } = await bringUp();
    upstream.answer(() => undefined);
    const asked = send(url, post(run));
    const { response } = await upstream.next();
    upstream.answer(always(200));
    const closing = example.close();
    await refused(url, post(run));
    respond(response, 200, { "content-type": "application/json" }, '{"late":true}');
    const answer = await asked;
    expect([answer.status, answer.body.toString()]).toEqual([200, '{"late":true}']);
    await closing;
  });

  it("during a stream of events", async () => {
    const { upstream, example, url, post } = await bringUp();
    upstream.answer(({ response }) =>
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
    );
    const incoming = await open(url, post(stream));
    await incoming.read();
    const closing = example.close();
    upstream.answer(always(200));
    await refused(url, post(run));
    upstream.arrivals[0]?.response.end("data: 2\n\n");
    const { body, broken } = await incoming.rest();
    expect([body.toString(), broken]).toEqual(["data: 2\n\n", false]);
    await closing;
  });

  it("during a webhook: it is answered", async () => {
    const { upstream, example, url, post } = await bringUp();
    const signer = createSigner();
    const asked = Promise.withResolvers<Arrival>();
    const tag = Promise.withResolvers<string>();
    upstream.answer((arrival) => {
      if (arrival.url.endsWith("/jwks.json")) return asked.resolve(arrival);
      tag.resolve(new URL(new URLSearchParams(arrival.url.split("?")[1]).get("fal_webhook") ?? "").search);
      always(200, { "content-type": "application/json" }, '{"request_id":"req-1"}')(arrival);
    });
    expect((await send(url, post(submit))).status).toBe(200);
    const body = Buffer.from('{"request_id":"req-1","status":"OK","payload":{}}');
    const headers = Object.entries({ "content-type": "application/json", ...signer.headers(body) });
    const delivery = new URL(`/api/fal/webhook${await tag.promise}`, url).href;
    const delivered = send(delivery, { method: "POST", headers, body });
    const { response } = await asked.promise;
    upstream.answer(always(200));
    const closing = example.close();
    await refused(url, post(run));
    respond(response, 200, { "content-type": "application/json" }, JSON.stringify(signer.jwks));
    expect((await delivered).status).toBe(200);
    await closing;
  });

  it("with a WebSocket: both sides are told 1001", async () => {
    const { upstream, example, url, token } = await bringUp();
    const sockets = new WebSocketServer({ noServer: true });
    const far = Promise.withResolvers<WebSocket>();
    upstream.upgrade((request, socket, head) => sockets.handleUpgrade(request, socket, head, far.resolve));
    const socket = new WebSocket(`${url.replace("http:", "ws:")}/fal.run/demo/realtime/realtime`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await once(socket, "open");
    const codes = Promise.all([once(socket, "close"), once(await far.promise, "close")]);
    await example.close();
    expect((await codes).map(([code]) => code)).toEqual([1001, 1001]);
  });
});
