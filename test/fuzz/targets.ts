import { createHash } from "node:crypto";
import { type Reply, openLine } from "../security/caller.ts";
import { always } from "../upstream.ts";
import type { Ground } from "./ground.ts";
import { mutate } from "./mutate.ts";
import { replies, requests, switches, upgrades } from "./recordings.ts";

/** A side that reads bytes. */
export interface Target {
  readonly name: string;
  /** One input at a time, where it could not be said otherwise whose an answer is. */
  readonly alone: boolean;
  input(random: () => number): Buffer;
  /** What was wrong about what came of it; undefined when nothing was. */
  play(input: Buffer, ground: Ground, number: number): Promise<string | undefined>;
}

const clean = '{"clean":true}';
const json = { "content-type": "application/json" };
/** Milliseconds after which no more answers are waited for. */
const quiet = 60;

export const targets: readonly Target[] = [
  { name: "requests", alone: false, input: (random) => mutate(requests, random), play: playRequest },
  { name: "handshakes and frames", alone: false, input: (random) => mutate(upgrades, random), play: playUpgrade },
  { name: "upstream's answers", alone: true, input: (random) => mutate(replies, random), play: playReply },
  {
    name: "upstream's handshakes and frames",
    alone: true,
    input: (random) => mutate(switches, random),
    play: playSwitch,
  },
];

async function playRequest(input: Buffer, ground: Ground, number: number): Promise<string | undefined> {
  ground.upstream.answer(({ response, whole, method, url }) => {
    const answer =
      method === "POST" && url.startsWith("/queue.") ? '{"request_id":"019e161b-386c-7d33-8e2f-0123456789ab"}' : clean;
    whole.then(
      () => response.writeHead(200, { ...json, "content-length": answer.length }).end(answer),
      () => undefined,
    );
  });
  return attempt(async () => {
    const line = await openLine(ground.ports[number % 2] ?? 0, ground.look, methodOf(input));
    line.write(input);
    // Half of the callers say that they are done, the others wait.
    if (number % 4 < 2) line.socket.end();
    const answers = await line.replies(quiet, 400);
    line.leave();
    return answers.map(problemOf).find((problem) => problem !== undefined);
  });
}

async function playUpgrade(input: Buffer, ground: Ground): Promise<string | undefined> {
  ground.upstream.answer(always(200, json, clean));
  ground.upstream.upgrade((request, socket) => {
    socket.on("error", () => undefined);
    socket.write(acceptOf(String(request.headers["sec-websocket-key"])));
    socket.write(Buffer.from("\x81\x05hello", "latin1"));
    socket.resume().on("end", () => socket.end());
  });
  return attempt(async () => {
    const line = await openLine(ground.ports[0], ground.look, "GET");
    line.write(input);
    const answers = await line.replies(quiet, 400);
    line.leave();
    return answers.map(problemOf).find((problem) => problem !== undefined);
  });
}

/** Upstream answers with the bytes; the caller gets something that is an answer or a break, and the next caller the right one. */
async function playReply(input: Buffer, ground: Ground, number: number): Promise<string | undefined> {
  const port = ground.ports[number % 2] ?? 0;
  const request = requests[number % 8] ?? "";
  ground.upstream.answer(({ socket }) => void socket.write(input, () => number % 3 !== 0 && socket.end()));
  return attempt(async () => {
    const line = await openLine(port, ground.look, methodOf(request));
    line.write(Buffer.from(request, "latin1"));
    const reply = await line.reply();
    line.leave();
    ground.upstream.answer(always(200, json, clean));
    const wrong = await askAgain(port, ground);
    if (wrong !== undefined) return wrong;
    return reply === undefined || reply.status >= 200 ? undefined : `a status of ${reply.status}`;
  });
}

/**
 * The calls that follow must get their own answer. A POST on a connection that upstream closes just then is not sent again: it may be
 * said to be unanswered a few times, and nothing else.
 */
async function askAgain(port: number, ground: Ground): Promise<string | undefined> {
  for (let left = 4; left > 0; left -= 1) {
    const line = await openLine(port, ground.look);
    line.write(Buffer.from(requests[0] ?? "", "latin1"));
    const reply = await line.reply();
    line.leave();
    const text = reply?.body.toString() ?? "";
    if (reply?.status === 200 && text === clean) return undefined;
    if (reply?.status !== 500 || !text.includes("upstream_unanswered"))
      return `the next call got ${reply?.status} ${text}`;
  }
  return "the next calls got no answer";
}

async function playSwitch(input: Buffer, ground: Ground): Promise<string | undefined> {
  ground.upstream.upgrade((_request, socket) => {
    socket.on("error", () => undefined).write(input);
    socket.resume().on("end", () => socket.end());
  });
  return attempt(async () => {
    const line = await openLine(ground.ports[0], ground.look, "GET");
    line.write(Buffer.from(upgrades[0] ?? "", "latin1"));
    const [first] = await line.replies(quiet, 400);
    line.leave();
    if (first === undefined || first.status === 101) return undefined;
    return first.status === 200 ? "a handshake was answered 200" : problemOf(first);
  });
}

/** Our own reader throws where an answer is framed wrongly; a connection that breaks is an answer too. */
async function attempt(play: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await play();
  } catch (error) {
    return error instanceof Error && "code" in error && /ECONNRESET|EPIPE/.test(String(error.code))
      ? undefined
      : String(error);
  }
}

/** An answer is upstream's, ours with a code, or Node's own to what is no HTTP. */
function problemOf({ status, body, headers }: Reply): string | undefined {
  const text = body.toString();
  if (Number.isNaN(status)) return "no status line";
  if (status === 101) return undefined;
  if (status === 200)
    return /^(?:$|\{"clean":true\}|\{"request_id":"[^"]+"\})/.test(text) ? undefined : `200 with ${text.slice(0, 200)}`;
  if (status === 204 && headers.some(([name]) => name.toLowerCase() === "allow" || name.startsWith("access-control-")))
    return undefined;
  if (status >= 400 && (text === "" || /"code":"[a-z_]+"/.test(text))) return undefined;
  return status >= 300 && status < 400 ? undefined : `${status} with ${text.slice(0, 200)}`;
}

function methodOf(bytes: Buffer | string): string {
  return bytes.toString("latin1").startsWith("HEAD ") ? "HEAD" : "POST";
}

function acceptOf(key: string): string {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}
