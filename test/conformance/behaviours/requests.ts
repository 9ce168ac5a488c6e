import { describe, expect, it } from "vitest";
import { always, upstreamKey } from "../../upstream.ts";
import { type HeaderLine, answerTo } from "../../wire.ts";
import { digest, inPieces, noise, oddBodies } from "../bytes.ts";
import type { Mount } from "../mount.ts";
import { job, run, stage, stream } from "../stage.ts";

/** Headers that cross, with the values they are sent with here. */
const crossing: readonly HeaderLine[] = [
  ["accept", "application/json, text/event-stream"],
  ["user-agent", "@fal-ai/client/1.10.1"],
  ["last-event-id", "17"],
  ["x-fal-queue-priority", "low"],
  ["x-fal-runner-hint", "lora"],
  ["x-fal-request-timeout", "30"],
  ["x-fal-no-retry", "1"],
  ["x-fal-retry-config", '{"a":1}'],
  ["x-fal-store-io", "0"],
  ["x-fal-object-lifecycle", '{"expiration_duration_seconds":60}'],
  ["x-fal-object-lifecycle-preference", '{"expiration_duration_seconds":61}'],
  ["x-fal-tags", "team=a"],
  ["x-app-fal-disable-fallback", "true"],
];

/** Headers that must never cross. */
const staying: readonly HeaderLine[] = [
  ["cookie", "session=ada; csrf=1"],
  ["origin", "http://localhost:1"],
  ["referer", "http://localhost:1/page"],
  ["sec-fetch-site", "same-origin"],
  ["forwarded", "for=1.2.3.4"],
  ["x-forwarded-for", "1.2.3.4"],
  ["x-forwarded-host", "app.example"],
  ["x-forwarded-proto", "https"],
  ["x-real-ip", "1.2.3.4"],
  ["via", "1.1 edge"],
  ["te", "trailers"],
  ["keep-alive", "timeout=5"],
  ["proxy-authorization", "Basic eDp5"],
  ["proxy-connection", "keep-alive"],
  ["x-fal-user-id", "someone-else"],
  ["x-fal-client-proxy", "other"],
  ["x-custom", "1"],
  ["authorization_", "Key stolen"],
  ["x-http-method-override", "DELETE"],
  ["if-none-match", '"etag"'],
  ["proxy", "http://evil.example"],
];

/** What an HTTP client writes by itself, beside what it is given. */
const framing = ["host", "connection", "content-type", "content-length", "authorization"];
const byTransport = {
  node: framing,
  web: [...framing, "transfer-encoding", "accept-encoding", "accept-language", "sec-fetch-mode"],
};

/** What the caller sends arrives upstream: bytes, and the headers that may. */
export function requests(mount: Mount): void {
  describe("the bytes of the request pass", () => {
    it.each(oddBodies)("%s, with a length and chunked", async (_name, body) => {
      const { upstream, ask } = await stage(mount);
      await ask(run, { body });
      await ask(run, { chunks: [...inPieces(body, 3)] });
      const arrived = await Promise.all(upstream.arrivals.map(({ whole }) => whole));
      expect(arrived.map((bytes) => bytes.toString("hex"))).toEqual([body.toString("hex"), body.toString("hex")]);
      expect(upstream.arrivals.map((arrival) => arrival.values("content-type"))).toEqual([
        ["application/json"],
        ["application/json"],
      ]);
    });

    it.each([
      ["with a length", (body: Buffer) => ({ body })],
      ["chunked", (body: Buffer) => ({ chunks: [...inPieces(body, 65_537)] })],
    ])("5 MB of noise, %s", async (_name, sent) => {
      const { upstream, ask } = await stage(mount);
      const body = noise(5_000_000);
      const answer = await ask(run, sent(body));
      const [arrival] = upstream.arrivals;
      expect(arrival).toBeDefined();
      expect(digest((await arrival?.whole) ?? Buffer.alloc(0))).toBe(digest(body));
      expect(answer.broken).toBe(false);
    });

    it("a length stays a length on small bodies", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(run, { body: '{"a":1}' });
      const [arrival] = upstream.arrivals;
      if (mount.transport === "node") {
        expect(arrival?.values("content-length")).toEqual(["7"]);
        expect(arrival?.values("transfer-encoding")).toEqual([]);
      } else {
        expect(arrival?.values("content-length").length).toBe(1 - (arrival?.values("transfer-encoding").length ?? 0));
      }
    });

    it("content-type keeps its parameters", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(run, { type: "application/json; charset=utf-8" });
      expect(upstream.arrivals[0]?.values("content-type")).toEqual(["application/json; charset=utf-8"]);
    });

    it("cancel is a PUT without a body", async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      upstream.answer(always(202, { "content-type": "application/json" }, '{"status":"CANCELLATION_REQUESTED"}'));
      const answer = await ask(`${job}/cancel`, { method: "PUT", headers: [["content-length", "0"]] });
      expect([answer.status, answer.body.toString()]).toEqual([202, '{"status":"CANCELLATION_REQUESTED"}']);
      expect(upstream.arrivals[0]?.method).toBe("PUT");
      expect(await upstream.arrivals[0]?.whole).toHaveLength(0);
    });

    it("Expect: 100-continue is answered by the server, and stays here", async () => {
      const { upstream, start } = await stage(mount);
      const request = start(run, { headers: [["expect", "100-continue"]], body: '{"a":1}' });
      const response = await answerTo(request);
      response.resume();
      expect(response.statusCode).toBe(200);
      expect(upstream.arrivals[0]?.values("expect")).toEqual([]);
    });
  });

  describe("the request's headers", () => {
    it("are the list, and one authorization: ours", async () => {
      const { upstream, mounted, ask } = await stage(mount);
      const own: HeaderLine = ["origin", new URL(mounted.url).origin];
      const kept = staying.filter(([name]) => name !== "origin");
      const answer = await ask(run, { headers: [...crossing, ...kept, own] });
      expect(answer.status).toBe(200);
      const [arrival] = upstream.arrivals;
      const names = (arrival?.headers ?? []).map(([name]) => name.toLowerCase());
      const allowed = [...crossing.map(([name]) => name), ...byTransport[mount.transport]];
      expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
      expect(new Set(names).size).toBe(names.length);
      for (const [name, value] of crossing) expect(arrival?.values(name)).toEqual([value]);
      expect(arrival?.values("authorization")).toEqual([`Key ${upstreamKey}`]);
      expect(arrival?.values("host")).toEqual([new URL(upstream.url).host]);
    });

    it.each(staying)("%s stays", async (name, value) => {
      const { upstream, mounted, ask } = await stage(mount);
      const given = name === "origin" ? new URL(mounted.url).origin : value;
      const needsOrigin = name === "cookie" ? [["origin", new URL(mounted.url).origin] as const] : [];
      const answer = await ask(run, { headers: [[name, given], ...needsOrigin] });
      expect(answer.status).toBe(200);
      expect(upstream.arrivals[0]?.values(name)).toEqual([]);
    });

    it("the caller's own key, in any spelling, is not sent on", async () => {
      const { upstream, ask } = await stage(mount, { authorize: () => ({ id: "ada" }) });
      await ask(run, {
        as: null,
        headers: [
          ["Authorization", "Key caller:secret"],
          ["X-Fal-Key", "caller:secret"],
        ],
      });
      const [arrival] = upstream.arrivals;
      expect(arrival?.values("authorization")).toEqual([`Key ${upstreamKey}`]);
      expect(JSON.stringify(arrival?.headers)).not.toContain("caller:secret");
    });

    it("a name in Connection does not take the key away", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(run, { headers: [["connection", "close, authorization, content-type, x-fal-queue-priority"]] });
      expect(upstream.arrivals[0]?.values("authorization")).toEqual([`Key ${upstreamKey}`]);
      expect(upstream.arrivals[0]?.values("content-type")).toEqual(["application/json"]);
    });

    it("more of them cross by forwardHeaders; others of fal's are named once in the log", async () => {
      const { upstream, log, ask } = await stage(mount, { forwardHeaders: ["x-custom", "x-fal-new"] });
      const headers: HeaderLine[] = [
        ["x-custom", "1"],
        ["x-fal-new", "2"],
        ["x-fal-other", "3"],
      ];
      await ask(run, { headers });
      await ask(run, { headers });
      expect(upstream.arrivals.map((arrival) => arrival.values("x-custom"))).toEqual([["1"], ["1"]]);
      expect(upstream.arrivals.map((arrival) => arrival.values("x-fal-new"))).toEqual([["2"], ["2"]]);
      expect(upstream.arrivals.map((arrival) => arrival.values("x-fal-other"))).toEqual([[], []]);
      expect(log.filter((line) => line.includes('forwardHeaders: ["x-fal-other"]'))).toHaveLength(1);
    });

    it("accept is not overwritten on streams", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(stream, { headers: [["accept", "text/event-stream"]] });
      expect(upstream.arrivals[0]?.values("accept")).toEqual(["text/event-stream"]);
    });

    it("the query of a run passes byte for byte", async () => {
      const { upstream, ask, askPath } = await stage(mount);
      const query = "?b=z+z&a=%C3%A9&a=1&empty=&flag";
      await ask(run + query);
      await askPath(run + query);
      expect(upstream.arrivals.map(({ url }) => url)).toEqual([
        `/fal.run/demo/echo${query}`,
        `/fal.run/demo/echo${query}`,
      ]);
    });
  });
}
