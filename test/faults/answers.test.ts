import dns from "node:dns";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { codeOf, job, run, stage, submit } from "../conformance/stage.ts";
import { type Script, always, listenOnFreePort, raw } from "../upstream.ts";

leaveNothingOpen();

const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const mib = 1024 * 1024;

/** The name of {@link elsewhere} is looked up as `answer` says, for the length of the test. */
function lookUp(answer: (done: (error: Error) => void) => void): void {
  const { lookup } = dns;
  const spy = vi.spyOn(dns, "lookup").mockImplementation(((...given: unknown[]) => {
    if (given[0] !== "fal.invalid") return void Reflect.apply(lookup, dns, given);
    answer(given.at(-1) as (error: Error) => void);
  }) as typeof dns.lookup);
  onTestFinished(() => spy.mockRestore());
}

const elsewhere = { url: "https://fal.invalid", key: "key-of-nobody:0123456789" };

/** Not an answer, by the rows that list them. */
const garbage: readonly (readonly [name: string, bytes: string | Buffer])[] = [
  ["F15 HTTP/0.9", "<html>hello</html>"],
  ["F15 an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["F15 an alert of TLS", Buffer.from([0x15, 3, 3, 0, 2, 2, 40])],
  ["F15 a greeting of SSH", "SSH-2.0-OpenSSH_9.9\r\n"],
  ["F15 one byte", "H"],
  ["F16 10,000 headers", `${head}${"x-a: b\r\n".repeat(10_000)}content-length: 2\r\n\r\n{}`],
  ["F16 a header of 1 MiB", `${head}x-a: ${"a".repeat(mib)}\r\ncontent-length: 2\r\n\r\n{}`],
  ["F20 a length of -1", `${head}content-length: -1\r\n\r\n{}`],
  ["F20 a length of +5", `${head}content-length: +5\r\n\r\nfive!`],
  ["F20 a length of 5,5", `${head}content-length: 5,5\r\n\r\nfive!`],
  ["F20 a length of 2^64", `${head}content-length: 18446744073709551616\r\n\r\n{}`],
  ["F20 no length in its header", `${head}content-length: \r\n\r\n{}`],
];

/** Pours the same bytes for as long as they are taken; `poured` says how many were. */
function endless(first: string, again: string): { script: Script; poured: () => number } {
  const block = Buffer.from(again.repeat(Math.ceil(65_536 / again.length)));
  let poured = 0;
  const script: Script = ({ socket }) => {
    socket.write(first);
    const pour = (): void => {
      while (!socket.destroyed && socket.write(block)) poured += block.length;
    };
    socket.on("drain", pour);
    pour();
  };
  return { script, poured: () => poured };
}

// Global fetch, on web-standard hosts, has 10 s of its own.
describe("upstream cannot be reached in time", () => {
  it("F03 a resolver that says nothing: 504 when connecting took too long", async () => {
    lookUp(() => undefined);
    const { ask } = await stage(node, { upstream: elsewhere, timeouts: { connect: 200 } });
    const answer = await ask(run);
    expect([answer.status, codeOf(answer)]).toEqual([504, "upstream_timeout"]);
  });

  it("F06 a TLS handshake that stalls: 504 when connecting took too long", async () => {
    const silence = createServer((socket) => void socket.on("error", () => undefined).resume());
    const port = await listenOnFreePort(silence);
    onTestFinished(() => void silence.close());
    const upstream = { ...elsewhere, url: `https://127.0.0.1:${port}` };
    const { ask } = await stage(node, { upstream, timeouts: { connect: 200 } });
    const answer = await ask(run);
    expect([answer.status, codeOf(answer)]).toEqual([504, "upstream_timeout"]);
  });
});

describe.each([node, web])("upstream fails: $name", (mount) => {
  it.each(["ENOTFOUND", "EAI_FAIL"])("F02 a name that %s: 502", async (code) => {
    lookUp((done) => setImmediate(done, Object.assign(new Error(code), { code })));
    const { ask, log } = await stage(mount, { upstream: elsewhere, ownership: "app" });
    expect(codeOf(await ask(run))).toBe("upstream_unreachable");
    expect((await ask(`${job}/status`, { method: "GET" })).status).toBe(502);
    expect(log.join("\n")).toContain(code);
  });

  it("F09 a head that comes byte by byte: 504 when its time is over", async () => {
    const { upstream, ask } = await stage(mount, { ownership: "app", timeouts: { head: 400 } });
    upstream.answer(({ socket, closed }) => {
      let at = 0;
      const timer = setInterval(() => socket.write(`${head}x-more: ${"a".repeat(1000)}`.charAt((at += 1) - 1)), 20);
      void closed.then(() => clearInterval(timer));
    });
    const answer = await ask(`${job}/status`, { method: "GET" });
    expect([answer.status, codeOf(answer)]).toEqual([504, "upstream_timeout"]);
    await upstream.arrivals[0]?.closed;
  });

  it.each([
    ["103 Early Hints", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"],
    ["100 Continue", "HTTP/1.1 100 Continue\r\n\r\n"],
  ])("F14 10,000 times %s before the answer", async (_name, interim) => {
    const { upstream, ask } = await stage(mount);
    upstream.answer(raw(`${interim.repeat(10_000)}${head}content-length: 2\r\nconnection: close\r\n\r\n{}`));
    const answer = await ask(run);
    expect([200, 500]).toContain(answer.status);
    if (answer.status === 200) expect(answer.body.toString()).toBe("{}");
  });

  it.each(garbage)("%s is no answer, and the next call is right", async (_name, bytes) => {
    const { upstream, ask } = await stage(mount, { ownership: "app" });
    upstream.answer(raw(bytes, "end"));
    const answer = await ask(run);
    expect([answer.status, codeOf(answer)]).toEqual([500, "upstream_unanswered"]);
    expect((await ask(`${job}/status`, { method: "GET" })).status).toBe(502);
    upstream.answer(always(200, { "content-type": "application/json" }, '{"fine":true}'));
    expect((await ask(run)).body.toString()).toBe('{"fine":true}');
  });

  it("F16 a status line of 1 MiB is bounded", async () => {
    const { upstream, ask } = await stage(mount);
    upstream.answer(raw(`HTTP/1.1 200 ${"a".repeat(mib)}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`));
    const answer = await ask(run);
    expect([200, 500]).toContain(answer.status);
  });

  it("F17 an endless answer is passed on as it is read, and cut where it must be read whole", async () => {
    const { upstream, ask, open } = await stage(mount);
    const chunk = `400\r\n${"a".repeat(1024)}\r\n`;
    const first = endless(`${head}transfer-encoding: chunked\r\n\r\n`, chunk);
    upstream.answer(first.script);
    const incoming = await open(run);
    await incoming.readUntil(4 * mib);
    incoming.leave();
    await upstream.arrivals[0]?.closed;
    const second = endless(`${head}transfer-encoding: chunked\r\n\r\n`, chunk);
    upstream.answer(second.script);
    expect((await ask(submit)).status).toBe(500);
    await upstream.arrivals[1]?.closed;
    expect(second.poured()).toBeLessThan(32 * mib);
  });

  it.each([
    ["a chunk extension", `${head}transfer-encoding: chunked\r\n\r\n2;`, "a".repeat(1024)],
    ["trailers", `${head}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n`, `x: ${"a".repeat(1000)}\r\n`],
  ])("F18 %s without end: a break, and little is held", async (_name, first, again) => {
    const { upstream, open } = await stage(mount, { timeouts: { streamIdle: 500, idle: 500 } });
    const { script } = endless(first, again);
    upstream.answer(script);
    const before = process.memoryUsage.rss();
    const incoming = await open(run).catch(() => undefined);
    expect((await incoming?.rest())?.broken ?? incoming?.status !== 200).toBe(true);
    await upstream.arrivals[0]?.closed;
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * mib);
  });

  it("F19 a body in answer to HEAD is dropped, and is no answer to the next call", async () => {
    const { upstream, ask } = await stage(mount, { ownership: "app" });
    upstream.answer(raw(`${head}content-length: 4\r\n\r\nevil`));
    const answer = await ask(job, { method: "HEAD" });
    expect([200, 502]).toContain(answer.status);
    expect(answer.body.length).toBe(0);
    upstream.answer(always(200, { "content-type": "application/json" }, '{"fine":true}'));
    expect((await ask(run)).body.toString()).toBe('{"fine":true}');
  });

  it.each([502, 503, 504])("F23 upstream's own %i passes, and no POST is repeated", async (status) => {
    const { upstream, ask } = await stage(mount, { ownership: "app" });
    upstream.answer(always(status, { "content-type": "application/json" }, '{"detail":"down"}'));
    for (const target of [run, submit]) {
      const answer = await ask(target);
      expect([answer.status, answer.body.toString()]).toEqual([status, '{"detail":"down"}']);
    }
    expect(upstream.arrivals).toHaveLength(2);
  });
});
