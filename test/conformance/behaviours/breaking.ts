import { describe, expect, it } from "vitest";
import { type Script, always, raw, startUpstream } from "../../upstream.ts";
import { answerTo } from "../../wire.ts";
import { type Mount, isLimited } from "../mount.ts";
import { codeOf, job, run, stage, stream, submit } from "../stage.ts";

const json = { "content-type": "application/json" };
const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/** Answers that stop before their end, one way or another. */
const cuts: readonly (readonly [name: string, script: Script])[] = [
  ["a length, then the end", raw(`${head}content-length: 10\r\n\r\n{"a":`, "end")],
  ["a length, then a reset", raw(`${head}content-length: 10\r\n\r\n{"a":`, "reset")],
  ["a length, one byte short", raw(`${head}content-length: 10\r\n\r\n{"a":1234`, "end")],
  ["a length and no byte", raw(`${head}content-length: 10\r\n\r\n`, "end")],
  ["chunks, then the end", raw(`${head}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n`, "end")],
  ["chunks, then a reset", raw(`${head}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n`, "reset")],
  ["chunks, half of one", raw(`${head}transfer-encoding: chunked\r\n\r\n9\r\n{"a":`, "end")],
  ["chunks, then nonsense", raw(`${head}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\nzzz\r\n`)],
  [
    "a length on a last connection, then a reset",
    raw(`${head}connection: close\r\ncontent-length: 10\r\n\r\n{"a":`, "reset"),
  ],
  [
    "chunks on a last connection, then a reset",
    raw(`${head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n`, "reset"),
  ],
];

/** Not an answer at all. */
const silences: readonly (readonly [name: string, script: Script])[] = [
  ["the connection is closed", ({ socket }) => socket.end()],
  ["the connection is reset", ({ socket }) => socket.resetAndDestroy()],
  ["half a status line", raw("HTTP/1.1 2", "end")],
  ["half a head", raw("HTTP/1.1 200 OK\r\ncontent-type: app", "end")],
  ["no HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n")],
  ["an HTTP/2 preface", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
  ["two different lengths", raw(`${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`)],
  ["a length below zero", raw(`${head}content-length: -1\r\n\r\n{}`)],
  ["a head of 1 MB", raw(`HTTP/1.1 200 OK\r\nx: ${"a".repeat(1_000_000)}\r\n\r\n`)],
];

/** Upstream fails: the caller must be able to tell, and a call that may have run is never sent again. */
export function breaking(mount: Mount): void {
  describe("upstream breaks off mid-body", () => {
    it.for(cuts)("F07 F08 %s: the caller sees a break", async ([name, script], context) => {
      if (name.startsWith("chunks on a last") && isLimited(mount, "last connection", context)) {
        return context.skip(mount.limits?.["last connection"]);
      }
      const { upstream, open, ended } = await stage(mount);
      upstream.answer(script);
      const outcome = await open(run).then(
        (incoming) => incoming.rest(),
        () => undefined,
      );
      expect(outcome?.broken ?? true).toBe(true);
      expect((await ended()).outcome).toBe("cut");
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("F07 a stream is broken visibly too", async () => {
      const { upstream, open } = await stage(mount);
      upstream.answer(
        raw(
          "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
        ),
      );
      const incoming = await open(stream);
      expect((await incoming.readUntil(9)).toString()).toBe("data: 1\n\n");
      upstream.arrivals[0]?.socket.resetAndDestroy();
      expect((await incoming.rest()).broken).toBe(true);
    });

    it("F08 an answer that ends with its connection is whole", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(
        raw('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{"a":1}', "end"),
      );
      const answer = await ask(run);
      expect([answer.body.toString(), answer.broken]).toEqual(['{"a":1}', false]);
    });

    it("a submit answer that is cut is no answer: 500, not a job without an id", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(raw(`${head}content-length: 100\r\n\r\n{"request_id":"`, "end"));
      const answer = await ask(submit);
      expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
    });

    it("F10 silence mid-body is a break, and upstream is closed", async () => {
      const { upstream, open } = await stage(mount, { timeouts: { streamIdle: 300 } });
      upstream.answer(raw(`${head}content-length: 10\r\n\r\n{"a":`));
      const incoming = await open(run);
      expect((await incoming.rest()).broken).toBe(true);
      await upstream.arrivals[0]?.closed;
    });
  });

  describe("upstream gives no answer", () => {
    it.each(silences)("%s: POST is 500 and was sent once", async (_name, script) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(script);
      const answer = await ask(run);
      expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it.each(silences)("%s: GET is 502", async (_name, script) => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      upstream.answer(script);
      const answer = await ask(`${job}/status`, { method: "GET" });
      expect([answer.status, codeOf(answer)]).toEqual([502, "upstream_unreachable"]);
      expect(upstream.arrivals.length).toBeLessThanOrEqual(2);
    });

    it("F22 a GET whose connection is reset is asked once more", async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      upstream.answer((arrival) => {
        if (upstream.arrivals.length === 1) arrival.socket.resetAndDestroy();
        else always(200, json, '{"status":"COMPLETED"}')(arrival);
      });
      const answer = await ask(`${job}/status`, { method: "GET" });
      expect([answer.status, answer.body.toString()]).toEqual([200, '{"status":"COMPLETED"}']);
      expect(upstream.arrivals).toHaveLength(2);
    });

    it.each([
      ["run", run, "POST"],
      ["run by GET", run, "GET"],
      ["submit", submit, "POST"],
      ["cancel", `${job}/cancel`, "PUT"],
    ])("F22 %s on a kept-alive connection that is reset is not sent again", async (_kind, target, method) => {
      const endpoints = { "*/**": { methods: ["POST", "GET"] } };
      const { upstream, ask } = await stage(mount, { ownership: "app", endpoints });
      expect((await ask(`${job}/status`, { method: "GET" })).status).toBe(200);
      upstream.answer(({ socket }) => socket.resetAndDestroy());
      const answer = await ask(target, { method });
      expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
      expect(upstream.arrivals.map((arrival) => arrival.method)).toEqual(["GET", method]);
      expect(upstream.arrivals[0]?.socket.remotePort).toBe(upstream.arrivals[1]?.socket.remotePort);
    });

    it("a large POST that is reset while it is sent is not sent again", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(({ socket }) => socket.resetAndDestroy());
      const answer = await ask(run, { body: Buffer.alloc(4_000_000, "a") });
      expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("F21 bytes that nobody asked for, on an idle connection, are no answer to the next call", async () => {
      const { upstream, ask } = await stage(mount);
      expect((await ask(run)).body.toString()).toBe('{"ok":true}');
      const idle = upstream.arrivals[0];
      idle?.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned");
      await idle?.closed;
      expect((await ask(run)).body.toString()).toBe('{"ok":true}');
      expect(upstream.arrivals).toHaveLength(2);
    });

    it.each([
      ["204", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nextra", 204],
      ["304", "HTTP/1.1 304 Not Modified\r\n\r\nextra", 304],
    ])("F19 a body behind %s is dropped, and is no answer to the next call", async (_name, bytes, status) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(raw(bytes));
      const answer = await ask(run);
      expect([answer.status, answer.body.length, answer.broken]).toEqual([status, 0, false]);
      upstream.answer(raw('HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"fine":true}'));
      expect((await ask(run)).body.toString()).toBe('{"fine":true}');
    });

    it("after a failure the next call is right", async () => {
      const { upstream, ask } = await stage(mount);
      for (const [, script] of silences) {
        upstream.answer(script);
        expect((await ask(run)).status).toBe(500);
        upstream.answer(always(200, json, '{"fine":true}'));
        expect((await ask(run)).body.toString()).toBe('{"fine":true}');
      }
    });

    it("F01 refused connections are 502, also for POST: nothing was sent", async () => {
      const closed = await startUpstream();
      await closed.close();
      const { ask, log } = await stage(mount, { upstream: closed.option, ownership: "app" });
      for (const [target, method] of [
        [run, "POST"],
        [submit, "POST"],
        [`${job}/status`, "GET"],
      ] as const) {
        const answer = await ask(target, { method });
        expect([answer.status, codeOf(answer)]).toEqual([502, "upstream_unreachable"]);
        expect(answer.body.toString()).not.toContain("127.0.0.1");
      }
      expect(log.join("\n")).toContain("ECONNREFUSED");
    });

    it("refused connections while a long body is still coming: 502, and the process lives on", async () => {
      const closed = await startUpstream();
      await closed.close();
      const { start } = await stage(mount, { upstream: closed.option, timeouts: { callerBody: 40 } });
      for (const leaves of [true, false]) {
        const request = start(run, { headers: [["content-length", "2000000"]], body: Buffer.alloc(300_000) });
        const response = await answerTo(request);
        expect(response.statusCode).toBe(502);
        if (leaves) request.destroy();
        // longer than the body's time: whoever still waits for more of it would fail now, with nobody to hear it
        await new Promise((resolve) => setTimeout(resolve, 100));
        request.destroy();
      }
    });

    it("no head in time: 504 for what only reads, 500 for what may have run", async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app", timeouts: { head: 100, runHead: 100 } });
      upstream.answer(() => undefined);
      const asked = [
        ask(`${job}/status`, { method: "GET" }),
        ask(job, { method: "GET" }),
        ask(run),
        ask(submit),
        ask(`${job}/cancel`, { method: "PUT" }),
      ];
      const answers = await Promise.all(asked);
      expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual([
        [504, "upstream_timeout"],
        [504, "upstream_timeout"],
        [500, "upstream_unanswered"],
        [500, "upstream_unanswered"],
        [500, "upstream_unanswered"],
      ]);
      expect(upstream.arrivals).toHaveLength(asked.length);
      await Promise.all(upstream.arrivals.map(({ closed }) => closed));
    });
  });

  it("an answer before the upload is over passes, and the upload is given up", async () => {
    const { upstream, ask } = await stage(mount);
    upstream.answer(({ response }) => response.writeHead(413, { ...json, "content-length": "2" }).end("{}"));
    const answer = await ask(run, { body: Buffer.alloc(3_000_000) });
    expect([answer.status, answer.body.toString()]).toEqual([413, "{}"]);
    await upstream.arrivals[0]?.closed;
  });
}
