import { createServer } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type HeaderList, type UpstreamRequest, ProxyError } from "@keyway/core";
import { createNodeSender } from "@keyway/node";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Upstream, always, listenOnFreePort, startUpstream } from "./upstream.ts";

const sender = createNodeSender();
const never = new AbortController().signal;

async function stand(): Promise<Upstream> {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  return upstream;
}

function toUpstream(url: string, method = "GET", headers: HeaderList = []): UpstreamRequest {
  return {
    method,
    origin: url,
    path: "/fal.run/demo/echo?a=%20+",
    headers,
    body: "stream",
    maxBodyBytes: 1e9,
    repeatable: method === "GET",
    timeouts: { connect: 1000, head: 5000, idle: 5000, body: 5000 },
  };
}

function streamOf(...parts: (string | Error)[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else if (part instanceof Error) controller.error(part);
      else controller.enqueue(new TextEncoder().encode(part));
    },
  });
}

describe("the Node sender", () => {
  test("sends the headers it was given and no others", async () => {
    const upstream = await stand();
    await sender.send(toUpstream(upstream.url, "GET", [["accept", "text/x"]]), null, never);
    expect(upstream.arrivals[0]?.url).toBe("/fal.run/demo/echo?a=%20+");
    expect(upstream.arrivals[0]?.headers).toEqual([
      ["host", `127.0.0.1:${upstream.port}`],
      ["connection", "keep-alive"],
      ["accept", "text/x"],
    ]);
  });

  test.each([
    ["bytes", Buffer.from("hello"), [], "5"],
    ["a small stream of known length", streamOf("he", "llo"), [["content-length", "5"]], "5"],
    ["a long stream of known length", streamOf("a".repeat(70_000), "b"), [["content-length", "70001"]], "70001"],
    ["a stream of unknown length", streamOf("he", "llo"), [], undefined],
  ] as const)("sends %s", async (_name, body, headers, length) => {
    const upstream = await stand();
    await sender.send(toUpstream(upstream.url, "POST", headers), body, never);
    const [arrival] = upstream.arrivals;
    expect(arrival?.values("content-length")[0]).toBe(length);
    expect((await arrival?.whole)?.length).toBe(length === undefined ? 5 : Number(length));
  });

  test("hands on the answer's headers as they are", async () => {
    const upstream = await stand();
    upstream.answer(always(200, { "X-Twice": ["a", "b"] }, "hello"));
    const answer = await sender.send(toUpstream(upstream.url), null, never);
    expect(answer.headers.filter(([name]) => name === "x-twice")).toEqual([
      ["x-twice", "a"],
      ["x-twice", "b"],
    ]);
    expect(await new Response(answer.body as BodyInit).text()).toBe("hello");
  });

  test.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ] as const)("decodes %s, which nobody asked for", async (coding, compress) => {
    const upstream = await stand();
    upstream.answer(always(200, { "content-encoding": coding }, compress("hello")));
    const answer = await sender.send(toUpstream(upstream.url), null, never);
    expect(answer.headers.map(([name]) => name)).not.toContain("content-length");
    expect(await new Response(answer.body as BodyInit).text()).toBe("hello");
  });

  test("an answer that cannot have a body has none", async () => {
    const upstream = await stand();
    upstream.answer(always(204));
    expect((await sender.send(toUpstream(upstream.url), null, never)).body).toBe(null);
    upstream.answer(always(200, {}, "hello"));
    expect((await sender.send(toUpstream(upstream.url, "HEAD"), null, never)).body).toBe(null);
  });

  test("stops upstream while nobody reads", async () => {
    const upstream = await stand();
    const written = new Promise<number>((resolve) => {
      upstream.answer(({ response }) => {
        let bytes = 0;
        const write = (): void => {
          while (response.write(Buffer.alloc(64 * 1024))) bytes += 64 * 1024;
        };
        response.on("drain", write);
        write();
        setTimeout(() => resolve(bytes), 500);
      });
    });
    const answer = await sender.send(toUpstream(upstream.url), null, never);
    expect(await written).toBeLessThan(32 * 1024 * 1024);
    await bodyStreamOf(answer).cancel();
    await upstream.arrivals[0]?.closed;
  });

  test("an abort closes upstream, before and after the head", async () => {
    const upstream = await stand();
    upstream.answer(() => undefined);
    const early = new AbortController();
    const sent = sender.send(toUpstream(upstream.url), null, early.signal);
    const arrival = await upstream.next();
    early.abort();
    const error = await sent.catch((reason: unknown) => reason);
    expect(sender.wasSent(error)).toBe(true);
    await arrival.closed;

    upstream.answer(({ response }) => void response.write("data: 1\n\n"));
    const late = new AbortController();
    const answer = await sender.send(toUpstream(upstream.url), null, late.signal);
    const reader = bodyStreamOf(answer).getReader();
    expect((await reader.read()).value?.length).toBe(9);
    late.abort();
    await expect(reader.read()).rejects.toThrow();
    await upstream.arrivals[1]?.closed;
  });

  test("knows what was sent and what was not", async () => {
    const aborted = await sender.send(toUpstream("http://127.0.0.1:9"), null, AbortSignal.abort()).catch(toReason);
    expect(sender.wasSent(aborted)).toBe(false);

    const closed = createServer();
    const port = await listenOnFreePort(closed);
    await new Promise((resolve) => closed.close(resolve));
    const refused = await sender.send(toUpstream(`http://127.0.0.1:${port}`), null, never).catch(toReason);
    expect(sender.wasSent(refused)).toBe(false);

    const upstream = await stand();
    upstream.answer(({ socket }) => socket.resetAndDestroy());
    const reset = await sender.send(toUpstream(upstream.url), null, never).catch(toReason);
    expect(sender.wasSent(reset)).toBe(true);
    expect(upstream.arrivals.length).toBe(1);
  });

  test("a body that fails fails the call with its own error", async () => {
    const upstream = await stand();
    const broken = new ProxyError("body_too_large");
    const up = toUpstream(upstream.url, "POST");
    expect(await sender.send(up, streamOf("a", broken), never).catch(toReason)).toBe(broken);
    const small = toUpstream(upstream.url, "POST", [["content-length", "9"]]);
    expect(await sender.send(small, streamOf("a", broken), never).catch(toReason)).toBe(broken);
  });

  test("upstream that breaks off breaks the body", async () => {
    const upstream = await stand();
    upstream.answer(({ response, socket }) => {
      response.write("a", () => setTimeout(() => socket.resetAndDestroy(), 20));
    });
    const answer = await sender.send(toUpstream(upstream.url), null, never);
    await expect(new Response(bodyStreamOf(answer)).text()).rejects.toThrow();
  });
});

function toReason(reason: unknown): unknown {
  return reason;
}

function bodyStreamOf({ body }: { readonly body: unknown }): ReadableStream<Uint8Array> {
  if (!(body instanceof ReadableStream)) throw new Error("the body is no stream");
  return body as ReadableStream<Uint8Array>;
}
