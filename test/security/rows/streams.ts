import { expect } from "vitest";
import type { Field } from "../ground.ts";
import { type Play, type Row, toBytes, valuesOf } from "../row.ts";
import type { Script } from "../../upstream.ts";
import { raw } from "../hostile.ts";

const target = "https://fal.run/demo/echo/stream";
const sse = { "content-type": "text/event-stream" };
const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/** Bytes that a rewriting proxy would change. */
const bodies: readonly (readonly [what: string, body: string])[] = [
  ["line ends of every kind", "data: a\r\n\r\ndata: b\n\ndata: c\r\r"],
  ["a byte order mark", "\ufeffdata: a\n\n"],
  ["comments and heartbeats", ":\n\n: ping\n\ndata: a\n\n"],
  ["ids and retries", "id: 1\nretry: 5\nevent: x\ndata: a\n\n"],
  ["an event without its end", "data: a"],
  ["1 MiB in one event", `data: ${"a".repeat(1024 * 1024)}\n\n`],
];

export const streamRows: readonly (Row | Play)[] = [
  ...bodies.map(([what, body]) => ({
    what,
    upstream: eventStream(body),
    send: { target },
    expect: {
      status: 200,
      up: 1,
      got: { body, headers: { "x-accel-buffering": "no", "cache-control": "no-store, private, no-transform" } },
    },
  })),
  {
    what: "an error instead of a stream",
    upstream: raw(
      'HTTP/1.1 422 Unprocessable\r\ncontent-type: application/json\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{"detail":1}',
      "end",
    ),
    send: { target },
    expect: { status: 422, up: 1, got: { body: '{"detail":1}' } },
  },
  {
    what: "upstream dies in the stream",
    upstream: raw(`${head}transfer-encoding: chunked\r\n\r\n8\r\ndata: a\n\r\n`, "reset"),
    send: { target },
    expect: { status: 200, up: 1, got: { whole: false } },
  },
  {
    what: "upstream ends the stream without its end",
    upstream: raw(`${head}transfer-encoding: chunked\r\n\r\n8\r\ndata: a\n\r\n`, "end"),
    send: { target },
    expect: { status: 200, up: 1, got: { whole: false } },
  },
  { what: "the first event is not held back", play: firstEvent },
  { what: "letters cut at every byte", play: cutLetters },
  { what: "2,000 quick events", play: quickEvents },
  { what: "the caller leaves", play: leaves },
];

function eventStream(body: string): Script {
  return ({ response }) => response.writeHead(200, sse).end(body);
}

async function firstEvent(field: Field): Promise<void> {
  let end = (): void => undefined;
  field.ground.upstream.answer(({ response }) => {
    response.writeHead(200, sse).write("data: 1\n\n");
    end = () => void response.end("data: 2\n\n");
  });
  const line = await field.line();
  line.write(toBytes({ target }, field));
  await line.body(9);
  expect(line.soFar().toString()).toBe("data: 1\n\n");
  end();
  const reply = await line.reply();
  expect([reply?.whole, reply?.body.toString()]).toEqual([true, "data: 1\n\ndata: 2\n\n"]);
  line.leave();
}

async function cutLetters(field: Field): Promise<void> {
  const bytes = Buffer.from("data: \u00e9\u20ac\u{1f600}\n\n");
  field.ground.upstream.answer(({ response }) => {
    response.writeHead(200, sse);
    let at = 0;
    const step = (): void => {
      if (at === bytes.length) return void response.end();
      response.write(bytes.subarray(at, (at += 1)));
      setImmediate(step);
    };
    step();
  });
  const line = await field.line();
  line.write(toBytes({ target }, field));
  const reply = await line.reply();
  expect(reply?.body).toEqual(bytes);
  line.leave();
}

async function quickEvents(field: Field): Promise<void> {
  const events = Array.from({ length: 2000 }, (_, index) => `id: ${index}\ndata: {"n":${index}}\n\n`);
  field.ground.upstream.answer(({ response }) => {
    response.writeHead(200, sse);
    for (const event of events) response.write(event);
    response.end();
  });
  const line = await field.line();
  line.write(toBytes({ target }, field));
  const reply = await line.reply();
  expect(reply?.body.toString()).toBe(events.join(""));
  expect(reply === undefined ? [] : valuesOf(reply, "content-type")).toEqual(["text/event-stream"]);
  line.leave();
}

async function leaves(field: Field): Promise<void> {
  const { upstream } = field.ground;
  const at = upstream.arrivals.length;
  upstream.answer(({ response }) => {
    response.writeHead(200, sse);
    const timer = setInterval(() => response.write("data: tick\n\n"), 5);
    response.once("close", () => clearInterval(timer));
  });
  const line = await field.line();
  line.write(toBytes({ target }, field));
  await line.body(36);
  line.leave();
  const late = new Promise((_resolve, reject) =>
    setTimeout(reject, 2000, new Error("upstream went on for 2 s")).unref(),
  );
  await Promise.race([upstream.arrivals[at]?.closed, late]);
}
