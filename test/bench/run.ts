// First look at speed: status polls, submits and a WebSocket echo through the Express mount with its rules on, as a ratio to nginx
// where it is installed. Ratios of one run count; absolute numbers of a shared machine do not.
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Pool } from "undici";
import { WebSocket } from "ws";

const children: ChildProcess[] = [];
/** Workloads whose name holds this are run: `npm run bench -- WebSocket`. */
const wanted = process.argv.slice(2).join(" ");
const seconds = Number(process.env["BENCH_SECONDS"] ?? 3);

async function start(file: string, ...args: string[]): Promise<string> {
  const child = fork(join(import.meta.dirname, file), args, { execArgv: ["--conditions=@keyway/source"] });
  children.push(child);
  const { port } = await new Promise<{ port: number }>((resolve) =>
    child.once("message", (message) => resolve(message as { port: number })),
  );
  return `http://127.0.0.1:${port}`;
}

async function startNginx(upstream: string): Promise<string | undefined> {
  if (spawnSync("nginx", ["-v"]).error !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "keyway-bench-"));
  const port = 20_000 + (process.pid % 20_000);
  const http = `access_log off; keepalive_requests 1000000; upstream fal { server ${new URL(upstream).host}; keepalive 128; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://fal; proxy_http_version 1.1; proxy_set_header Authorization "Key bench";
    proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade; } }
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }`;
  const config = `worker_processes 1; daemon off; pid ${folder}/pid; error_log ${folder}/error; events { worker_connections 1024; } http { ${http} }`;
  writeFileSync(join(folder, "nginx.conf"), config);
  children.push(spawn("nginx", ["-c", join(folder, "nginx.conf"), "-p", folder], { stdio: "ignore" }));
  await pause(500);
  return `http://127.0.0.1:${port}`;
}

/** Requests per second over 64 connections. */
async function requests(
  origin: string,
  method: "GET" | "POST",
  path: string,
  headers: Record<string, string>,
): Promise<number> {
  const pool = new Pool(origin, { connections: 64 });
  const until = Date.now() + seconds * 1000;
  const body = method === "POST" ? JSON.stringify({ prompt: "x".repeat(1000) }) : null;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (Date.now() < until) {
      const response = await pool.request({ method, path, headers, body });
      const bytes = await response.body.bytes();
      if (response.statusCode !== 200 || bytes.length !== 200)
        throw new Error(`status ${response.statusCode}, ${bytes.length} bytes`);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: 64 }, worker));
  await pool.close();
  return done / seconds;
}

function medianOf(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** How much the process of a peer grows with each quiet socket, from 2,000 to 6,000 of them. Bytes. */
async function idleCost(url: string, headers: Record<string, string>, rss: () => Promise<number>): Promise<number> {
  const sockets: WebSocket[] = [];
  const grow = async (to: number): Promise<number> => {
    while (sockets.length < to) {
      const batch = Array.from({ length: 50 }, () => new WebSocket(url, { headers, perMessageDeflate: false }));
      await Promise.all(batch.map((socket) => once(socket, "open")));
      sockets.push(...batch);
    }
    await pause(1500);
    return rss();
  };
  const [before, after] = [await grow(2000), await grow(6000)];
  for (const socket of sockets) socket.terminate();
  return (after - before) / 4000;
}

/** What a child of ours says of its memory. */
async function rssOf(child: ChildProcess | undefined): Promise<number> {
  if (child === undefined) return 0;
  const told = once(child, "message");
  child.send("rss");
  const [{ rss }] = (await told) as [{ rss: number }];
  return rss;
}

/** Messages of 1 KB echoed per second over 32 sockets. */
async function echoes(url: string, headers: Record<string, string>): Promise<number> {
  const message = Buffer.alloc(1024, 1);
  let done = 0;
  const sockets = Array.from({ length: 32 }, () => new WebSocket(url, { headers, perMessageDeflate: false }));
  await Promise.all(
    sockets.map((socket) => new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))),
  );
  for (const socket of sockets) socket.on("message", () => (done++, socket.send(message))).send(message);
  await pause(seconds * 1000);
  for (const socket of sockets) socket.terminate();
  return done / seconds;
}

const base = { "content-type": "application/json", accept: "application/json", "user-agent": "Mozilla/5.0 (bench)" };
const upstream = await start("upstream.ts");
const nginx = await startNginx(upstream);
const product = await start("product.ts", upstream);
const productProcess = children.at(-1);
const status = "https://queue.fal.run/fal-ai/flux/requests/019e161b-386c-7d33-8e2f-0123456789ab/status?logs=1";
const ours = (target: string): Record<string, string> => ({
  ...base,
  authorization: "Bearer bench-caller",
  "x-fal-target-url": target,
});
const mount = "/api/fal/proxy";
const rows: { workload: string; keyway: number; nginx: number | undefined }[] = [];
/** Three rounds, the peers in turn; the medians count. */
const compare = async (workload: string, run: (peer: "keyway" | "nginx") => Promise<number>): Promise<void> => {
  if (!workload.includes(wanted)) return;
  await run("keyway");
  const keyway: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    keyway.push(await run("keyway"));
    if (nginx !== undefined) peer.push(await run("nginx"));
  }
  rows.push({ workload, keyway: medianOf(keyway) ?? 0, nginx: medianOf(peer) });
};
const socketUrl = `${product.replace("http", "ws")}${mount}/fal.run/fal-ai/lcm/realtime`;
const bearer = { authorization: "Bearer bench-caller" };
try {
  await compare("GET 200 B", (peer) =>
    peer === "keyway" ? requests(product, "GET", mount, ours(status)) : requests(nginx ?? "", "GET", "/status", base),
  );
  await compare("POST 1 KB", (peer) =>
    peer === "keyway"
      ? requests(product, "POST", mount, ours("https://queue.fal.run/fal-ai/flux/dev"))
      : requests(nginx ?? "", "POST", "/submit", base),
  );
  await compare("WebSocket echo 1 KB", (peer) =>
    peer === "keyway" ? echoes(socketUrl, bearer) : echoes(`${(nginx ?? "").replace("http", "ws")}/realtime`, {}),
  );
  const idle = "WebSocket idle";
  const bytes = idle.includes(wanted) ? await idleCost(socketUrl, bearer, () => rssOf(productProcess)) : undefined;
  console.log(
    `Node ${process.version}; each figure is the median of three times ${seconds} s; nginx ${nginx === undefined ? "is not installed, so there is no ratio" : "beside it"}`,
  );
  for (const { workload, keyway, nginx: peer } of rows) {
    const ratio =
      peer === undefined ? "" : `   nginx ${peer.toFixed(0).padStart(6)}/s   ratio ${(keyway / peer).toFixed(2)}`;
    console.log(`${workload.padEnd(20)} keyway ${keyway.toFixed(0).padStart(6)}/s${ratio}`);
  }
  if (bytes !== undefined)
    console.log(`${idle.padEnd(20)} keyway ${(bytes / 1000).toFixed(1).padStart(6)} kB per connection`);
} finally {
  for (const child of children) child.kill();
}
