import { describe, expect, it } from "vitest";
import { type Script, always } from "../../upstream.ts";
import { valueIn } from "../../wire.ts";
import { digest, noise } from "../bytes.ts";
import type { Mount } from "../mount.ts";
import { job, requestId, run, stage, stream, submit } from "../stage.ts";

const eventStream = { "content-type": "text/event-stream; charset=utf-8" };

/** Every line end, a comment, a byte order mark, text beyond ASCII, an event without an end. */
const oddEvents = Buffer.from(
  '\uFEFFdata: {"a":"é😀"}\n\n: ping\r\n\r\nevent: x\rdata: 1\r\rid: 7\nretry: 10\ndata: [1.0]\ndata: 2\n\ndata: open',
);

/** Sends two parts: the second when the caller has the first. */
function inTwo(body: Buffer, cut: number, seen: Promise<unknown>): Script {
  return ({ response }) => {
    response.writeHead(200, eventStream);
    response.write(body.subarray(0, cut));
    void seen.then(() => response.end(body.subarray(cut)));
  };
}

/** Streams pass event by event, byte by byte. */
export function streams(mount: Mount): void {
  describe("streams", () => {
    it.each([
      ["of an endpoint", stream, "POST"],
      ["of a job's status", `${job}/status/stream?logs=1`, "GET"],
      ["that a run answers with", run, "POST"],
    ])("the first event %s is here before upstream sends the second", async (_name, target, method) => {
      const { upstream, open } = await stage(mount, { ownership: "app" });
      const first = Promise.withResolvers<void>();
      upstream.answer(inTwo(Buffer.from("data: 1\n\ndata: 2\n\n"), 9, first.promise));
      const incoming = await open(target, { method });
      expect((await incoming.readUntil(9)).toString()).toBe("data: 1\n\n");
      first.resolve();
      const { body, broken } = await incoming.rest();
      expect([body.toString(), broken]).toEqual(["data: 2\n\n", false]);
    });

    it("the head is here before the first event", async () => {
      const { upstream, open } = await stage(mount);
      upstream.answer(({ response }) => response.writeHead(200, eventStream).flushHeaders());
      const incoming = await open(stream);
      expect(incoming.status).toBe(200);
      upstream.arrivals[0]?.response.end("data: 1\n\n");
      expect((await incoming.rest()).body.toString()).toBe("data: 1\n\n");
    });

    it("2,000 quick events arrive in order", async () => {
      const { upstream, ask } = await stage(mount);
      const events = Array.from({ length: 2000 }, (_, index) => `data: {"n":${index}}\n\n`);
      upstream.answer(({ response }) => {
        response.writeHead(200, eventStream);
        for (const event of events) response.write(event);
        response.end();
      });
      const { body, broken } = await ask(stream);
      expect(body.toString()).toBe(events.join(""));
      expect(broken).toBe(false);
    });

    it(`${oddEvents.length} bytes of odd events pass, cut at every byte`, async () => {
      const { upstream, open } = await stage(mount);
      for (let cut = 1; cut < oddEvents.length; cut += 1) {
        const first = Promise.withResolvers<void>();
        upstream.answer(inTwo(oddEvents, cut, first.promise));
        const incoming = await open(stream);
        const begun = await incoming.readUntil(cut);
        first.resolve();
        const { body, broken } = await incoming.rest();
        expect(Buffer.concat([begun, body]).toString("hex")).toBe(oddEvents.toString("hex"));
        expect(broken).toBe(false);
      }
    });

    it("a sealed status stream is the same but for the id, cut at every byte", async () => {
      const { upstream, ask } = await stage(mount, { limits: { pollsPerSecond: 1000 } });
      upstream.answer(always(200, { "content-type": "application/json" }, JSON.stringify({ request_id: requestId })));
      const sealed = String((JSON.parse((await ask(submit)).body.toString()) as { request_id: string }).request_id);
      const url = job.replace(requestId, sealed);
      const event = `data: {"request_id":"${requestId}","status_url":"${job}/status","é":1}\n\n`;
      const body = Buffer.from(event + event);
      for (let cut = 1; cut < body.length; cut += 3) {
        upstream.answer(({ response }) => {
          response.writeHead(200, eventStream);
          response.write(body.subarray(0, cut), () => setImmediate(() => response.end(body.subarray(cut))));
        });
        const answer = await ask(`${url}/status/stream`, { method: "GET" });
        expect(answer.body.toString()).toBe(body.toString().replaceAll(requestId, sealed));
      }
    });

    it("one event of 1 MiB, and bytes without any line", async () => {
      const { upstream, ask } = await stage(mount);
      const bytes = noise(3 * 1024 * 1024);
      upstream.answer(always(200, eventStream, bytes));
      expect(digest((await ask(stream)).body)).toBe(digest(bytes));
    });

    it.each([
      [422, { "x-fal-request-id": "r-1" }],
      [429, { "retry-after": "5" }],
      [500, {}],
    ])("an error %i in place of a stream keeps status, headers and JSON", async (status, headers) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(status, { "content-type": "application/json", ...headers }, '{"detail":"no"}'));
      const answer = await ask(stream);
      expect([answer.status, answer.body.toString()]).toEqual([status, '{"detail":"no"}']);
      for (const [name, value] of Object.entries(headers)) expect(valueIn(answer.headers, name)).toBe(value);
    });

    it("a caller whose session ends is cut off, and so is upstream", async () => {
      let asked = 0;
      const { upstream, open, ended } = await stage(mount, {
        authorize: () => (asked++ === 0 ? { id: "ada" } : null),
        reauthorize: 20,
      });
      upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
      const incoming = await open(stream);
      const [arrival] = upstream.arrivals;
      const { broken } = await incoming.rest();
      expect(broken).toBe(true);
      await arrival?.closed;
      expect((await ended()).outcome).toBe("stopped");
    });
  });
}
