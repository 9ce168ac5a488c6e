import { describe, expect, it } from "vitest";
import { type Script, respond } from "../../upstream.ts";
import { type Received, send, valueIn } from "../../wire.ts";
import type { Mount } from "../mount.ts";
import { codeOf, requestId, run, stage, submit } from "../stage.ts";

const app = "https://queue.fal.run/demo/echo";
const urls = {
  response_url: `${app}/requests/${requestId}`,
  status_url: `${app}/requests/${requestId}/status`,
  cancel_url: `${app}/requests/${requestId}/cancel`,
};

/** A queue that knows one job, as fal answers (key order and white space kept). */
const queue: Script = ({ response, url, method }) => {
  const headers = { "content-type": "application/json", "x-fal-request-id": requestId };
  const body = { status: "IN_QUEUE", request_id: requestId, ...urls, logs: null, metrics: {}, queue_position: 0 };
  if (method === "POST") return respond(response, 200, headers, JSON.stringify(body));
  if (url.endsWith("/cancel")) return respond(response, 202, headers, '{"status":"CANCELLATION_REQUESTED"}');
  if (url.includes("/status/stream")) {
    const events = `data: ${JSON.stringify(body)}\n\ndata: ${JSON.stringify({ ...body, status: "COMPLETED" })}\n\n`;
    return respond(response, 200, { ...headers, "content-type": "text/event-stream" }, events);
  }
  if (url.includes("/status")) return respond(response, 202, headers, JSON.stringify(body));
  return respond(response, 200, headers, `{"seed":9007199254740993,"note":"${requestId}"}`);
};

interface Submitted {
  readonly request_id: string;
  readonly status_url: string;
  readonly response_url: string;
  readonly cancel_url: string;
}

function read(answer: Received): Submitted {
  return JSON.parse(answer.body.toString()) as Submitted;
}

/** Jobs belong to who submitted them. */
export function jobs(mount: Mount): void {
  describe("a submitted job", () => {
    it("is sealed to its caller, wherever its id stands; nothing else changes", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(queue);
      const submitted = await ask(submit);
      const { request_id: sealed, ...fields } = read(submitted);
      expect(sealed).toMatch(new RegExp(`^${requestId}\\.[A-Za-z0-9_-]{22}$`));
      const plain = JSON.stringify({
        status: "IN_QUEUE",
        request_id: requestId,
        ...urls,
        logs: null,
        metrics: {},
        queue_position: 0,
      });
      expect(submitted.body.toString()).toBe(plain.replaceAll(requestId, sealed));
      expect(fields.status_url).toBe(`${app}/requests/${sealed}/status`);
      expect(valueIn(submitted.headers, "x-fal-request-id")).toBe(sealed);
      expect(valueIn(submitted.headers, "content-length")).toBe(String(submitted.body.length));

      const status = await ask(`${fields.status_url}?logs=1`, { method: "GET" });
      expect([status.status, read(status).request_id]).toEqual([202, sealed]);
      expect(status.body.toString()).toBe(plain.replaceAll(requestId, sealed));
      expect(valueIn(status.headers, "x-fal-request-id")).toBe(sealed);

      const events = await ask(`${fields.status_url}/stream`, { method: "GET" });
      expect(events.body.toString().split("\n\n").filter(Boolean)).toHaveLength(2);
      expect(events.body.toString().replaceAll(sealed, "")).not.toContain(requestId);

      const result = await ask(fields.response_url, { method: "GET" });
      expect(result.body.toString()).toBe(`{"seed":9007199254740993,"note":"${requestId}"}`);
      expect(valueIn(result.headers, "x-fal-request-id")).toBe(sealed);

      expect((await ask(fields.cancel_url, { method: "PUT" })).status).toBe(202);
      const path = `/queue.fal.run/demo/echo/requests/${requestId}`;
      expect(upstream.arrivals.slice(1).map(({ method, url }) => `${method} ${url}`)).toEqual([
        `GET ${path}/status?logs=1`,
        `GET ${path}/status/stream`,
        `GET ${path}`,
        `PUT ${path}/cancel`,
      ]);
    });

    it("does not exist for another caller: 404, upstream not called", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(queue);
      const { request_id: sealed } = read(await ask(submit));
      const paths: readonly (readonly [string, string])[] = [
        ["GET", ""],
        ["HEAD", ""],
        ["GET", "/status"],
        ["GET", "/status/stream"],
        ["PUT", "/cancel"],
        ["GET", "/response"],
      ];
      for (const [method, path] of paths) {
        const answer = await ask(`${app}/requests/${sealed}${path}`, { method, as: "bob" });
        expect(answer.status).toBe(404);
        if (method !== "HEAD") expect(codeOf(answer)).toBe("not_found");
      }
      expect(upstream.arrivals).toHaveLength(1);
    });

    it.each<[string, (sealed: string) => string]>([
      ["fal's own id", () => requestId],
      ["a changed seal", (sealed) => sealed.slice(0, -1) + (sealed.endsWith("A") ? "B" : "A")],
      ["a cut seal", (sealed) => sealed.slice(0, -1)],
      ["a changed id", (sealed) => `119e161b${sealed.slice(8)}`],
      ["another letter case", (sealed) => sealed.toUpperCase()],
      ["two seals", (sealed) => `${sealed}${sealed.slice(requestId.length)}`],
      ["a seal alone", (sealed) => sealed.slice(requestId.length + 1)],
    ])("%s: 404, upstream not called", async (_name, forge) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(queue);
      const { request_id: sealed } = read(await ask(submit));
      const answer = await ask(`${app}/requests/${forge(sealed)}/status`, { method: "GET" });
      expect([answer.status, codeOf(answer)]).toEqual([404, "not_found"]);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("is sealed to its app too", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(queue);
      const { request_id: sealed } = read(await ask(submit));
      const other = await ask(`https://queue.fal.run/demo/other/requests/${sealed}`, { method: "GET" });
      expect(other.status).toBe(404);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("outlives a restart; a rotated secret still opens it, a new one does not", async () => {
      const first = await stage(mount, { secret: "first secret, long enough" });
      first.upstream.answer(queue);
      const { request_id: sealed } = read(await first.ask(submit));
      const statuses = [];
      for (const secret of [
        "first secret, long enough",
        ["second secret, long enough", "first secret, long enough"],
        "second secret, long enough",
      ]) {
        const { upstream, ask } = await stage(mount, { secret });
        upstream.answer(queue);
        statuses.push((await ask(`${app}/requests/${sealed}/status`, { method: "GET" })).status);
      }
      expect(statuses).toEqual([202, 202, 404]);
    });

    it("in path form has URLs of ours, and they work", async () => {
      const { upstream, mounted, askPath } = await stage(mount);
      upstream.answer(queue);
      const submitted = read(await askPath(`${submit}/fast`));
      const base = `${mounted.url}/queue.fal.run/demo/echo/requests/${submitted.request_id}`;
      expect(submitted).toMatchObject({
        status_url: `${base}/status`,
        response_url: base,
        cancel_url: `${base}/cancel`,
      });
      const as = { headers: [["authorization", "Bearer ada"]] } as const;
      const status = await send(submitted.status_url, as);
      expect([status.status, read(status)]).toMatchObject([
        202,
        { request_id: submitted.request_id, status_url: `${base}/status` },
      ]);
      expect((await send(submitted.response_url, as)).status).toBe(200);
      expect((await send(submitted.cancel_url, { method: "PUT", ...as })).status).toBe(202);
      const events = await send(`${submitted.status_url}/stream`, as);
      expect(events.body.toString()).not.toContain("https://queue.fal.run");
      expect(upstream.arrivals.map(({ url }) => url)).toEqual([
        "/queue.fal.run/demo/echo/fast",
        `/queue.fal.run/demo/echo/requests/${requestId}/status`,
        `/queue.fal.run/demo/echo/requests/${requestId}`,
        `/queue.fal.run/demo/echo/requests/${requestId}/cancel`,
        `/queue.fal.run/demo/echo/requests/${requestId}/status/stream`,
      ]);
    });

    it("in path form has URLs on publicUrl, where that is stated", async () => {
      const { upstream, askPath } = await stage(mount, { publicUrl: "https://app.example/fal" });
      upstream.answer(queue);
      const submitted = read(await askPath(submit));
      expect(submitted.status_url).toBe(
        `https://app.example/fal/queue.fal.run/demo/echo/requests/${submitted.request_id}/status`,
      );
    });

    it('with ownership "app" keeps fal\'s id, for every caller, byte for byte', async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      upstream.answer(queue);
      const submitted = await ask(submit);
      expect(read(submitted).request_id).toBe(requestId);
      const status = await ask(urls.status_url, { method: "GET", as: "bob" });
      expect([status.status, status.body.equals(submitted.body)]).toEqual([202, true]);
      expect(valueIn(status.headers, "x-fal-request-id")).toBe(requestId);
    });

    it("of a public app is not sealed", async () => {
      const { upstream, ask } = await stage(mount, { authorize: "public" });
      upstream.answer(queue);
      expect(read(await ask(submit, { as: null })).request_id).toBe(requestId);
    });

    it("without an id in the answer is 500, not a job that nobody can ask for", async () => {
      const { upstream, ask } = await stage(mount);
      for (const body of ["{}", "[]", "not JSON", '{"request_id":7}', `{"request_id":"${"a".repeat(300)}"}`]) {
        upstream.answer(({ response }) => respond(response, 200, { "content-type": "application/json" }, body));
        const answer = await ask(submit);
        expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
      }
    });

    it("that was refused by upstream passes as it is", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(({ response }) =>
        respond(response, 422, { "content-type": "application/json" }, '{"detail":[]}'),
      );
      const answer = await ask(submit);
      expect([answer.status, answer.body.toString()]).toEqual([422, '{"detail":[]}']);
    });
  });

  it("run and stream ids stay fal's own", async () => {
    const { upstream, ask } = await stage(mount);
    upstream.answer(({ response }) => respond(response, 200, { "x-fal-request-id": requestId }, "{}"));
    expect(valueIn((await ask(run)).headers, "x-fal-request-id")).toBe(requestId);
  });
}
