import type { Keyway } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { valueIn } from "../../wire.ts";
import type { Mount } from "../mount.ts";
import { codeOf, run, stage, stream } from "../stage.ts";

/** Shutting down: what runs may finish, nothing new begins. */
export function draining(mount: Mount): void {
  if (mount.transport === "web") return hostDrains(mount);
  describe("close()", () => {
    it("waits for open calls, answers new ones 503, and tells how it went", async () => {
      const { upstream, mounted, open, ask } = await stage(mount, { timeouts: { drain: 10_000 } });
      upstream.answer(({ response }) =>
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
      );
      const incoming = await open(stream);
      await incoming.read();
      const closing = mounted.close();
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([503, "closing"]);
      expect(Number(valueIn(refused.headers, "retry-after"))).toBeGreaterThanOrEqual(1);
      expect(valueIn(refused.headers, "connection")).toBe("close");
      upstream.arrivals[0]?.response.end("data: 2\n\n");
      const rest = await incoming.rest();
      expect([rest.body.toString(), rest.broken]).toEqual(["data: 2\n\n", false]);
      expect(await closing).toEqual({ finished: 1, cut: 0 });
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("cuts off what takes too long: a visible break, and upstream is closed", async () => {
      const { upstream, mounted, open } = await stage(mount, { timeouts: { drain: 30 } });
      upstream.answer(({ response }) =>
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
      );
      const incoming = await open(stream);
      await incoming.read();
      expect(await mounted.close()).toEqual({ finished: 0, cut: 1 });
      expect((await incoming.rest()).broken).toBe(true);
      await upstream.arrivals[0]?.closed;
    });

    it("of an idle proxy is at once, and leaves no connection", async () => {
      const { upstream, mounted, ask } = await stage(mount, { timeouts: { drain: 60_000 } });
      await ask(run);
      expect(await mounted.close()).toEqual({ finished: 0, cut: 0 });
      await upstream.arrivals[0]?.closed;
    });
  });
}

function hostDrains(mount: Mount): void {
  it("draining is the host's: closing the instance leaves an open answer whole", async () => {
    const { upstream, mounted, open } = await stage(mount);
    upstream.answer(({ response }) =>
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
    );
    const incoming = await open(stream);
    await incoming.read();
    await (mounted.held as Keyway).close();
    upstream.arrivals[0]?.response.end("data: 2\n\n");
    const rest = await incoming.rest();
    expect([rest.body.toString(), rest.broken]).toEqual(["data: 2\n\n", false]);
  });
}
