import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./upstream.ts";

/** An nginx of this test in front of an app, as Debian ships it: buffering is on, and so is gzip, for event streams too. */
export interface Nginx {
  readonly origin: string;
  readonly close: () => Promise<void>;
}

/** Whether there is one; on CI there must be. */
export const hasNginx = spawnSync("nginx", ["-v"]).error === undefined;
if (!hasNginx && (process.env["CI"] ?? "") !== "") throw new Error("no nginx: apt-get install nginx-light");

/** Without an `http` block of its own it has Debian's defaults before one app. */
export async function startNginx(
  app: string,
  toHttp: (port: number, app: string) => string = atDefaults,
): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "keyway-nginx-"));
  const port = await freePort();
  writeFileSync(join(folder, "nginx.conf"), toConfig(folder, toHttp(port, new URL(app).host)));
  const child = spawn("nginx", ["-c", join(folder, "nginx.conf"), "-p", folder, "-e", join(folder, "error")]);
  const left = once(child, "exit");
  await Promise.race([isListening(port), left]);
  if (child.exitCode !== null) throw new Error(`nginx left: ${readFileSync(join(folder, "error"), "utf8")}`);
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
      child.kill("SIGTERM");
      await left;
      rmSync(folder, { recursive: true });
    },
  };
}

function toConfig(folder: string, http: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  return `
    daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error;
    events { worker_connections 64; }
    http {
      access_log off; ${temporary}
      ${http}
    }`;
}

function atDefaults(port: number, app: string): string {
  return `
      gzip on; gzip_proxied any; gzip_min_length 1; gzip_types application/json text/event-stream;
      map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://${app};
          proxy_http_version 1.1;
          proxy_set_header Host $http_host;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection $connection_upgrade;
        }
      }`;
}

async function isListening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
