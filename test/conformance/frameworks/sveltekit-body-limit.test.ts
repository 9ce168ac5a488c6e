import { describe, expect, it } from "vitest";
import { createKitHost } from "../kit-host.ts";
import { sveltekit } from "../mounts/sveltekit.ts";
import { codeOf, run, stage } from "../stage.ts";

const limited = { ...sveltekit, name: "sveltekit-body-limit", startMount: createKitHost() };

describe("adapter-node's own limit of 512 KB", () => {
  it.each([
    ["with a length", { body: Buffer.alloc(600_000, " ") }],
    ["chunked", { chunks: Array.from({ length: 10 }, () => Buffer.alloc(60_000, " ")) }],
  ])("a larger body %s is 413 and names the setting", async (_name, sent) => {
    const { upstream, ask } = await stage(limited);
    const answer = await ask(run, sent);
    expect([answer.status, codeOf(answer)]).toEqual([413, "body_too_large"]);
    expect(answer.body.toString()).toContain("BODY_SIZE_LIMIT");
    for (const arrival of upstream.arrivals) await expect(arrival.whole).rejects.toThrow();
  });

  it("a smaller body passes", async () => {
    const { ask } = await stage(limited);
    expect((await ask(run, { body: JSON.stringify("a".repeat(500_000)) })).status).toBe(200);
  });
});
