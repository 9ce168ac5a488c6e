import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { createAuthority, selfSigned } from "./certificates.ts";
import { mounts } from "./conformance/mounts/all.ts";
import { job, run, stream, submit } from "./conformance/stage.ts";
import { canary, forms, found } from "./secrets/canary.ts";
import type { Listening } from "./secrets/serve.ts";
import { type Script, type Upstream, always, raw, startUpstream } from "./upstream.ts";
import { type HeaderLine, type Sent, send } from "./wire.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();

const json = { "content-type": "application/json" };
const submitted = JSON.stringify({ request_id: "r-1", status_url: `${job}/status` });

/** What fal does, by the last word of the path. */
const scripts: Readonly<Record<string, Script>> = {
  dropped: ({ socket }) => socket.destroy(),
  garbage: raw("no HTTP at all\r\n\r\n"),
  cut: raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", "end"),
  silent: () => undefined,
  moved: always(302, { location: "https://evil.example" }),
  wrong: always(422, json, '{"detail":[]}'),
  broken: always(500, json, "{}"),
  denied: always(401, { ...json, "www-authenticate": "Key" }, '{"detail":"No user found for Key ID and Secret"}'),
  stream: always(200, { "content-type": "text/event-stream" }, "data: 1\n\n"),
};

const rest = "https://rest.fal.ai";
const calls: readonly (readonly [target: string, sent?: Sent & { as?: string }])[] = [
  ...Object.keys(scripts).map((word) => [`${run}/${word}`] as const),
  ...Object.keys(scripts).map((word) => [`${submit}/${word}`] as const),
  [run],
  [stream],
  [submit],
  [`${job}/status`, { method: "GET" }],
  [`${job}/status/stream`, { method: "GET" }],
  [job, { method: "GET" }],
  [`${job}/cancel`, { method: "PUT" }],
  [`${rest}/tokens/`, { body: '{"allowed_apps":["echo"]}' }],
  [`${rest}/storage/upload/initiate?storage_type=fal-cdn-v3`],
  ["https://evil.example/a/b"],
  ["https://fal.run/other/app"],
  [`${submit}?fal_webhook=https://evil.example`],
  [run, { method: "DELETE" }],
  [run, { method: "OPTIONS" }],
  [run, { body: "a".repeat(200_000) }],
  [run, { chunks: [Buffer.alloc(90_000), Buffer.alloc(90_000)] }],
  [run, { headers: [["content-encoding", "gzip"]] }],
  [
    run,
    {
      headers: [
        ["cookie", "a=1"],
        ["origin", "https://evil.example"],
      ],
    },
  ],
  [
    run,
    {
      headers: [
        ["x-fal-unknown", "1"],
        ["connection", "close, authorization"],
      ],
    },
  ],
  [run, { as: "thrower" }],
  [run, { as: "" }],
];

describe("the key", () => {
  const authority = createAuthority();
  const hosts = ["fal.run", "queue.fal.run", "rest.fal.ai"];
  const printed: string[] = [];
  const seen: string[] = [];
  let good: Upstream;
  let bad: Upstream;

  /** Runs every call through every mount of a process, and reads all that it prints until it is gone. */
  async function play(upstream: Upstream): Promise<void> {
    const child = fork(join(import.meta.dirname, "secrets", "serve.ts"), [String(upstream.port), authority.cert], {
      execArgv: ["--conditions=@keyway/source"],
      env: { ...process.env, FAL_KEY: canary, NODE_ENV: "development" },
      silent: true,
    });
    listen(child);
    const [urls] = (await once(child, "message")) as [Listening];
    await Promise.all(Object.values(urls).map(playThrough));
    const gone = once(child, "exit");
    child.send("dump");
    if ((await gone)[0] !== 0) throw new Error(printed.join("").slice(-3000));
  }

  async function playThrough(url: string): Promise<void> {
    for (const [target, { as = "ada", ...sent } = {}] of calls) {
      const usual: HeaderLine[] = [
        ["x-fal-target-url", target],
        ["content-type", "application/json"],
      ];
      if (as !== "") usual.push(["authorization", `Bearer ${as}`]);
      const { method = "POST", headers = [] } = sent;
      const body = method === "POST" && sent.chunks === undefined ? { body: "{}" } : {};
      const answer = await send(url, { ...body, ...sent, method, headers: [...usual, ...headers] }).catch(String);
      seen.push(inspect(answer, { depth: 9 }), typeof answer === "string" ? "" : answer.body.toString("latin1"));
    }
    const upgrade: HeaderLine[] = [
      ["connection", "Upgrade"],
      ["upgrade", "websocket"],
      ["sec-websocket-version", "13"],
      ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["authorization", "Bearer ada"],
    ];
    for (const path of ["demo/echo/realtime", "demo/echo/refused/realtime", "other/app/realtime"]) {
      const answer = await send(`${url}/fal.run/${path}`, { headers: upgrade }).catch(String);
      seen.push(inspect(answer, { depth: 9 }));
    }
  }

  function listen({ stdout, stderr }: ChildProcess): void {
    for (const output of [stdout, stderr]) output?.setEncoding("utf8").on("data", (text: string) => printed.push(text));
  }

  beforeAll(async () => {
    good = await startUpstream(authority.issue(hosts));
    bad = await startUpstream(selfSigned(hosts));
    good.answer((arrival) => {
      const word = arrival.url.split(/[/?]/).findLast((part) => part in scripts);
      (word === undefined ? always(200, json, submitted) : scripts[word])?.(arrival);
    });
    const sockets = new WebSocketServer({ noServer: true });
    good.upgrade((request, socket, head) => {
      if (request.url?.includes("refused") === true) socket.end("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n");
      else sockets.handleUpgrade(request, socket, head, (accepted) => accepted.close(4001));
    });
    await Promise.all([play(good), play(bad)]);
  }, 60_000);
  afterAll(() => Promise.all([good.close(), bad.close()]));

  it("went where it belongs", () => {
    const keys = new Set(good.arrivals.flatMap((arrival) => arrival.values("authorization")));
    expect([...keys]).toEqual([`Key ${canary}`]);
    expect(good.arrivals.length).toBeGreaterThan(20 * mounts.length);
    expect(bad.arrivals).toHaveLength(0);
  });

  it("would be found in every form", () => {
    const [id = "", secret = ""] = canary.split(":");
    for (const text of [canary, id, secret]) {
      for (const coded of [text, encodeURIComponent(text), `x${text}y`]) expect(found(coded).length).toBeGreaterThan(0);
      for (const prefix of ["", "K", "Ke", "Key "]) {
        expect(found(Buffer.from(`${prefix}${text} tail`).toString("base64")).length).toBeGreaterThan(0);
      }
    }
    expect(forms.every((form) => form.length >= 8)).toBe(true);
  });

  it("stands in nothing that was printed: stdout, stderr, events, inspected objects and errors", () => {
    const text = printed.join("");
    expect(text).toContain("authorize failed");
    expect(text).toContain("observe failed");
    expect(text).toContain("upstream_unanswered");
    expect(text).toMatch(/CERT|certificate/);
    expect(text).toContain("type: 'call'");
    expect(text).toContain("ProxyError");
    expect(found(text)).toEqual([]);
  });

  it("stands in no answer", () => {
    expect(seen.length).toBeGreaterThan(2 * calls.length * mounts.length);
    expect(found(seen.join("\n"))).toEqual([]);
  });
});
