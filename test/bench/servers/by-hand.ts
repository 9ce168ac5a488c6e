// As little as can be, by hand on Express and undici: no rules, no ids sealed. What a proxy of this kind cannot do without.
import express, { type RequestHandler } from "express";
import { createServer } from "node:http";
import { type Dispatcher, Pool } from "undici";
import { key } from "../payload.ts";
import { listenAndAnnounce } from "./announce.ts";

const [upstream = ""] = process.argv.slice(2);
const pool = new Pool(upstream, { connections: null });
const crossing = new Set(["accept", "content-type", "content-length", "user-agent"]);

const forward: RequestHandler = (req, res) => {
  const headers = ["authorization", `Key ${key}`];
  for (let at = 0; at < req.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = req.rawHeaders.slice(at, at + 2);
    if (crossing.has(name)) headers.push(name, value);
  }
  let controller: Dispatcher.DispatchController | undefined;
  res.on("close", () => {
    if (!res.writableFinished) controller?.abort(new Error("the caller left"));
  });
  const body = req.method === "POST" ? req : null;
  pool.dispatch(
    { path: req.originalUrl, method: body === null ? "GET" : "POST", headers, body },
    {
      onRequestStart(started) {
        controller = started;
      },
      onResponseStart(_controller, status, answered) {
        res.writeHead(status, withoutHops(answered));
      },
      onResponseData(paused, chunk) {
        if (res.write(chunk)) return;
        paused.pause();
        res.once("drain", () => paused.resume());
      },
      onResponseEnd: () => void res.end(),
      onResponseError: () => void res.destroy(),
    },
  );
};

function withoutHops<T extends Record<string, unknown>>(
  headers: T,
): Omit<T, "connection" | "keep-alive" | "transfer-encoding"> {
  const { connection: _connection, "keep-alive": _keepAlive, "transfer-encoding": _coding, ...rest } = headers;
  return rest;
}

await listenAndAnnounce(createServer(express().disable("x-powered-by").use(forward)));
