import { once } from "node:events";
import { createServer } from "node:http";
import { createGunzip, gunzipSync } from "node:zlib";
import { createHandler } from "@keyway/express";
import compression from "compression";
import express, { type Express } from "express";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { listen } from "./conformance/mount.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";
import { hasNginx, startNginx } from "./nginx.ts";
import { type Upstream, startUpstream } from "./upstream.ts";
import { type HeaderLine, type Sent, answerTo, open, send, start, valueIn } from "./wire.ts";

leaveNothingOpen();

interface Ground {
  readonly upstream: Upstream;
  /** Where the app listens. */
  readonly origin: string;
}

async function startApp(prepare: (app: Express) => void): Promise<Ground> {
  const upstream = await startUpstream();
  const app = express();
  prepare(app);
  const proxy = createHandler({ authorize: () => ({ id: "ada" }), endpoints: "any", upstream: upstream.option });
  app.use("/api/fal/proxy", proxy);
  const server = createServer(app);
  server.on("upgrade", proxy.upgrade);
  const mounted = await listen(server, proxy);
  onTestFinished(async () => {
    await upstream.close();
    await mounted.close();
  });
  return { upstream, origin: new URL(mounted.url).origin };
}

function asked(target: string): Sent {
  const headers: HeaderLine[] = [
    ["content-type", "application/json"],
    ["accept-encoding", "gzip"],
    ["x-fal-target-url", target],
  ];
  return { method: "POST", headers, body: "{}" };
}

const streamed = asked("https://fal.run/demo/echo/stream");

/** Each event arrives before the next is sent, though the caller takes gzip and what is in between would make it. */
async function expectEventsAtOnce({ upstream, origin }: Ground): Promise<void> {
  upstream.answer(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
  });
  const response = await answerTo(start(`${origin}/api/fal/proxy`, streamed));
  const body = response.headers["content-encoding"] === "gzip" ? response.pipe(createGunzip()) : response;
  const pieces: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
  expect(String((await pieces.next()).value)).toBe("data: 1\n\n");
  for (const event of ["data: 2\n\n", ": ping\n\n"]) {
    upstream.arrivals.at(-1)?.response.write(event);
    expect(String((await pieces.next()).value)).toBe(event);
  }
  upstream.arrivals.at(-1)?.response.end();
  expect((await pieces.next()).done).toBe(true);
}

/** That what is in between compresses at all. */
async function expectCompressedJson({ upstream, origin }: Ground): Promise<void> {
  const text = JSON.stringify({ text: "fal ".repeat(500) });
  upstream.answer(({ response }) => response.writeHead(200, { "content-type": "application/json" }).end(text));
  const answer = await send(`${origin}/api/fal/proxy`, asked("https://fal.run/demo/echo"));
  expect(valueIn(answer.headers, "content-encoding")).toBe("gzip");
  expect(gunzipSync(answer.body).toString()).toBe(text);
}

describe("E12, C21 behind Express compression()", () => {
  it("events pass as they come", async () => {
    await expectEventsAtOnce(await startApp((app) => app.use(compression({ threshold: 0 }))));
  });

  it("what is not a stream is compressed", async () => {
    await expectCompressedJson(await startApp((app) => app.use(compression())));
  });
});

describe("behind middleware that keeps what is written", () => {
  it("every piece stays as it was", async () => {
    const kept: Uint8Array[] = [];
    const { upstream, origin } = await startApp((app) =>
      app.use((_request, response, next) => {
        const write: (chunk: Uint8Array, then?: () => void) => boolean = response.write.bind(response);
        Object.assign(response, {
          write(chunk: Uint8Array, then?: () => void): boolean {
            kept.push(chunk);
            return write(chunk, then);
          },
        });
        next();
      }),
    );
    const body = Buffer.alloc(4 * 1024 * 1024, "0123456789abcdef");
    upstream.answer(({ response }) =>
      response.writeHead(200, { "content-type": "image/png", "content-length": body.length }).end(body),
    );
    const answer = await send(`${origin}/api/fal/proxy`, asked("https://fal.run/demo/echo"));
    expect(answer.body.equals(body)).toBe(true);
    expect(Buffer.concat(kept).equals(body)).toBe(true);
  });
});

if (!hasNginx) console.log("skipped: no nginx. Install it: apt-get install nginx-light");

describe.skipIf(!hasNginx)("E12 behind nginx, with its buffering and gzip on", () => {
  async function startBehindNginx(): Promise<Ground> {
    const { upstream, origin } = await startApp(() => undefined);
    const nginx = await startNginx(origin);
    onTestFinished(nginx.close);
    return { upstream, origin: nginx.origin };
  }

  it("events pass as they come", async () => {
    await expectEventsAtOnce(await startBehindNginx());
  });

  it("what is not a stream is compressed", async () => {
    await expectCompressedJson(await startBehindNginx());
  });

  it("a caller who leaves a stream stops upstream", async () => {
    const { upstream, origin } = await startBehindNginx();
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const incoming = await open(`${origin}/api/fal/proxy`, streamed);
    await incoming.read();
    incoming.leave();
    await upstream.arrivals[0]?.closed;
  });

  it("frames pass in both directions", async () => {
    const { upstream, origin } = await startBehindNginx();
    upstream.upgrade((request, socket, head) => {
      new WebSocketServer({ noServer: true }).handleUpgrade(request, socket, head, (far) =>
        far.on("message", (data, isBinary) => far.send(data, { binary: isBinary })),
      );
    });
    const url = `${origin.replace("http:", "ws:")}/api/fal/proxy/fal.run/demo/echo/realtime`;
    const near = new WebSocket(url, { headers: { origin } });
    await once(near, "open");
    for (const text of ["one", "two"]) {
      near.send(text);
      const [data] = (await once(near, "message")) as [Buffer];
      expect(data.toString()).toBe(text);
    }
    near.close(1000);
    await once(near, "close");
  });
});
