import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { KeywayOptions } from "@keyway/core";
import { type NodeProxy, createNodeProxy } from "@keyway/node";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { type Upstream, always, listenOnFreePort, startUpstream } from "../upstream.ts";
import { send } from "../wire.ts";

leaveNothingOpen();

interface Place {
  readonly upstream: Upstream;
  readonly server: Server;
  readonly proxy: NodeProxy;
  readonly url: string;
}

async function bringUp(options: Partial<KeywayOptions> = {}): Promise<Place> {
  const upstream = await startUpstream();
  const proxy = createNodeProxy({ authorize: "public", endpoints: "any", upstream: upstream.option, ...options });
  const server = createServer((req, res) => void proxy.handle(req, res));
  proxy.attach(server);
  const url = `http://127.0.0.1:${await listenOnFreePort(server)}/api/fal/proxy/fal.run/demo/echo`;
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await proxy.close();
    await upstream.close();
  });
  return { upstream, server, proxy, url };
}

it.each(["the proxy", "the server"])(
  "W73 a handshake under way when %s closes: its socket hears 1001 at once",
  async (which) => {
    const { upstream, server, proxy, url } = await bringUp();
    const sockets = new WebSocketServer({ noServer: true });
    const arrived = Promise.withResolvers<() => void>();
    upstream.upgrade((request, socket, head) =>
      arrived.resolve(() => sockets.handleUpgrade(request, socket, head, () => undefined)),
    );
    const caller = new WebSocket(`${url.replace("http:", "ws:")}/realtime`);
    const accept = await arrived.promise;
    const closed = which === "the proxy" ? proxy.close() : new Promise((resolve) => server.close(resolve));
    accept();
    expect((await once(caller, "close"))[0]).toBe(1001);
    await closed;
  },
);

it("W73 a call that authorize is asked about when the proxy closes is carried out", async () => {
  const asked = Promise.withResolvers<void>();
  const known = Promise.withResolvers<void>();
  const { upstream, proxy, url } = await bringUp({
    authorize: async () => {
      asked.resolve();
      await known.promise;
      return { id: "ada" };
    },
  });
  upstream.answer(always(200, {}, '{"fine":true}'));
  const answer = send(url, { method: "POST", headers: [["content-type", "application/json"]], body: "{}" });
  await asked.promise;
  const closed = proxy.close();
  setTimeout(known.resolve, 100);
  expect(await closed).toEqual({ finished: 1, cut: 0 });
  expect((await answer).status).toBe(200);
});
