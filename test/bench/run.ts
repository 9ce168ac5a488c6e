// First look at speed: status polls, submits and a WebSocket echo through the Express mount with its rules on, as a ratio to nginx
// where it is installed. Ratios of one run count; absolute numbers of a shared machine do not.
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Pool } from "undici";
import { WebSocket } from "ws";

const children: ChildProcess[] = [];
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
const status = "https://queue.fal.run/fal-ai/flux/requests/019e161b-386c-7d33-8e2f-0123456789ab/status?logs=1";
const ours = (target: string): Record<string, string> => ({
  ...base,
  authorization: "Bearer bench-caller",
  "x-fal-target-url": target,
});
const mount = "/api/fal/proxy";
const rows: { workload: string; keyway: number; nginx: number | undefined }[] = [];
const compare = async (workload: string, run: (peer: "keyway" | "nginx") => Promise<number>): Promise<void> => {
  await run("keyway");
  rows.push({ workload, keyway: await run("keyway"), nginx: nginx === undefined ? undefined : await run("nginx") });
};
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
    peer === "keyway"
      ? echoes(`${product.replace("http", "ws")}${mount}/fal.run/fal-ai/lcm/realtime`, {
          authorization: "Bearer bench-caller",
        })
      : echoes(`${(nginx ?? "").replace("http", "ws")}/realtime`, {}),
  );
  console.log(
    `Node ${process.version}; each figure over ${seconds} s; nginx ${nginx === undefined ? "is not installed, so there is no ratio" : "beside it"}`,
  );
  for (const { workload, keyway, nginx: peer } of rows) {
    const ratio =
      peer === undefined ? "" : `   nginx ${peer.toFixed(0).padStart(6)}/s   ratio ${(keyway / peer).toFixed(2)}`;
    console.log(`${workload.padEnd(20)} keyway ${keyway.toFixed(0).padStart(6)}/s${ratio}`);
  }
} finally {
  for (const child of children) child.kill();
}
