import { createServer, type RequestListener } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { listenOnFreePort, startUpstream } from "../../upstream.ts";
import { open, send } from "../../wire.ts";
import { startNext } from "../next-host.ts";
import { run } from "../stage.ts";

describe("Next's edge runtime", () => {
  it("C23 gets a build without Node modules, which calls, refuses and streams", async () => {
    const upstream = await startUpstream();
    process.env["KEYWAY_FIXTURE_UPSTREAM"] = upstream.url;
    const server = createServer((await startNext("next-app")) as RequestListener);
    onTestFinished(async () => {
      server.close();
      server.closeAllConnections();
      await upstream.close();
    });
    const url = `http://127.0.0.1:${await listenOnFreePort(server)}/api/edge`;
    const type = ["content-type", "application/json"] as const;
    const target = ["x-fal-target-url", run] as const;
    expect((await send(url, { method: "POST", headers: [type, target], body: "{}" })).status).toBe(401);
    const headers = [["authorization", "Bearer ada"], type, target] as const;
    const answer = await send(url, { method: "POST", headers, body: '{"a":1.0}' });
    expect([answer.status, String(await upstream.arrivals[0]?.whole)]).toEqual([200, '{"a":1.0}']);
    upstream.answer(({ response }) =>
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
    );
    const incoming = await open(url, {
      method: "POST",
      headers: [...headers.slice(0, 2), ["x-fal-target-url", `${run}/stream`]],
      body: "{}",
    });
    expect(String(await incoming.read())).toBe("data: 1\n\n");
    upstream.arrivals[1]?.response.end("data: 2\n\n");
    expect(String((await incoming.rest()).body)).toBe("data: 2\n\n");
  });
});
