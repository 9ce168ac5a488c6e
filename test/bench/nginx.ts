import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { listenOnFreePort } from "../upstream.ts";
import { key } from "./payload.ts";
import { adopt, cores, onCore } from "./processes.ts";

/** nginx's version, or undefined where it is not installed. */
export function nginxVersion(): string | undefined {
  const { error, stderr } = spawnSync("nginx", ["-v"], { encoding: "utf8" });
  return error === undefined ? stderr.trim().replace(/^nginx version: /, "") : undefined;
}

/** One nginx process in front of an upstream: connections kept alive, nothing logged, streams not buffered. */
export async function startNginx(upstream: string): Promise<{ url: string; pid: number; stop: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "keyway-bench-"));
  const port = await freePort();
  writeFileSync(join(folder, "nginx.conf"), configuration(folder, port, new URL(upstream)));
  const [program, ...args] = onCore(cores.proxy, ["nginx", "-c", join(folder, "nginx.conf"), "-p", folder]);
  const child = adopt(spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] }));
  await untilListening(port);
  return { url: `http://127.0.0.1:${port}`, pid: child.pid ?? 0, stop: () => void child.kill("SIGKILL") };
}

function configuration(folder: string, port: number, upstream: URL): string {
  const proxying = `proxy_pass ${upstream.protocol}//fal; proxy_http_version 1.1; proxy_set_header Authorization "Key ${key}";
      proxy_set_header Connection $asked; proxy_set_header Upgrade $http_upgrade;
      proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_session_reuse on;`;
  return `daemon off; master_process off; worker_rlimit_nofile 20000; pid ${folder}/pid; error_log ${folder}/error crit;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 0; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  map $http_upgrade $asked { default upgrade; '' ''; }
  upstream fal { server ${upstream.hostname === "localhost" ? "127.0.0.1" : upstream.hostname}:${upstream.port}; keepalive 512; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=8192;
    location / { ${proxying} }
    location /fal.run/ { proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; ${proxying} }
  }
}`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOnFreePort(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await pause(50);
  }
  throw new Error("nginx does not listen");
}
