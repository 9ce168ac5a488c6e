import { describe, expect, it } from "vitest";
import {
  bodyOf,
  bringUp,
  falIdOf,
  queryOf,
  reasons,
  seed,
  signer,
  taken,
  told,
  unlogged,
  until,
} from "./deliveries.ts";

describe("not ours", () => {
  it("K30: a job of elsewhere, a forged tag, another job's tag: 200 like a taken one, and not handled", async () => {
    const stage = await bringUp({ emulator: { seed } });
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    const mine = await stage.submit("demo/echo");
    const query = queryOf(stage);
    await stage.submit("demo/echo", {}, { user: "ben" });
    const other = queryOf(stage);
    const body = bodyOf(mine, { status: "OK", payload: {} });
    const headers = signer.headers(body, { requestId: falIdOf(mine) });
    const flipped = query.replace(/.$/, (last) => (last === "A" ? "E" : "A"));
    for (const [given, reason] of [
      ["", "no_tag"],
      ["?keyway=", "wrong_tag"],
      ["?keyway=nonsense", "wrong_tag"],
      [flipped, "wrong_tag"],
      [other, "other_job"],
    ] as const) {
      expect(await stage.post(headers, body, given)).toEqual(taken);
      expect(reasons(stage).at(-1)).toEqual(["foreign", reason, 200]);
    }
    expect(stage.events).toEqual([]);
    expect(await stage.post(headers, body, query)).toEqual(taken);
    expect(stage.events).toMatchObject([{ caller: "ann" }]);
  });

  it("K34: another account than the pinned one", async () => {
    const stage = await bringUp({ webhooks: { userId: "emulator-account" } });
    stage.emulator.faults.add({ delivery: { account: "another" } });
    await stage.submit("demo/echo");
    await until(() => expect(reasons(stage)).toEqual([["foreign", "other_account", 200]]));
    await stage.submit("demo/echo");
    await stage.event();
    expect(stage.events).toHaveLength(1);
  });

  it("is told where the app asks for it, of its own account only", async () => {
    const stage = await bringUp({ webhooks: { userId: "emulator-account", acceptForeign: true } });
    const hook = `fal_webhook=${encodeURIComponent(`${stage.url}/api/fal/webhook`)}`;
    const submit = async (): Promise<Response> =>
      fetch(`${stage.emulatorUrl}/queue.fal.run/demo/echo?${hook}`, {
        method: "POST",
        headers: { authorization: "Key any" },
        body: "{}",
      });
    await submit();
    expect(await stage.event()).toMatchObject({
      caller: undefined,
      endpoint: undefined,
      submittedAt: undefined,
      status: "OK",
    });
    stage.emulator.faults.add({ delivery: { account: "another" } });
    await submit();
    await until(() => expect(reasons(stage).at(-1)).toEqual(["foreign", "other_account", 200]));
    expect(stage.events).toHaveLength(1);
  });
});

describe("fal_webhook", () => {
  const evil = encodeURIComponent("https://evil.example/x");
  it("of a caller is refused in every spelling, except to a listed origin", async () => {
    const stage = await bringUp({ webhooks: { allow: ["https://hooks.example"] } });
    const hook = encodeURIComponent("https://hooks.example/me?a=1");
    const refused = [
      `?fal_webhook=${evil}`,
      `?FAL_WEBHOOK=${hook}`,
      `?fal%5Fwebhook=${evil}`,
      `?fal_webhook=${hook}&fal_webhook=${evil}`,
      `?fal_webhook=${hook};fal_webhook=${evil}`,
      `?fal_webhook=${encodeURIComponent("https://hooks.example.evil.example/")}`,
      `?fal_webhook=${encodeURIComponent("https://hooks.example@evil.example/")}`,
      `?fal_webhook=${encodeURIComponent("https://u:p@hooks.example/")}`,
      `?fal_webhook=${encodeURIComponent("http://hooks.example/")}`,
      "?fal_webhook=",
    ];
    for (const query of refused) await expect(stage.submit("demo/echo", {}, { query })).rejects.toThrow(/40[03]/);
    expect(stage.emulator.calls).toEqual([]);
    await stage.submit("demo/echo", {}, { query: `?fal_max_queue_length=5&fal_webhook=${hook}` });
    const sent = new URL(stage.emulator.calls[0]?.url ?? "", "http://x").searchParams;
    expect([sent.getAll("fal_webhook"), sent.get("fal_max_queue_length")]).toEqual([
      ["https://hooks.example/me?a=1"],
      "5",
    ]);
  });

  it("is ours on every submit, hides the caller, and keeps the caller's other parameters", async () => {
    const stage = await bringUp({ webhooks: { url: "http://127.0.0.1:9/hooks?of=shop" } });
    await stage.submit("demo/echo", {}, { user: "ann@example.com", query: "?fal_max_queue_length=5" });
    const sent = new URL(stage.emulator.calls[0]?.url ?? "", "http://x").searchParams;
    const url = new URL(sent.get("fal_webhook") ?? "");
    expect([url.origin, url.pathname, url.searchParams.get("of")]).toEqual(["http://127.0.0.1:9", "/hooks", "shop"]);
    expect(sent.get("fal_max_queue_length")).toBe("5");
    expect(atob((url.searchParams.get("keyway") ?? "").replaceAll("-", "+").replaceAll("_", "/"))).not.toContain("ann");
  });

  it("K39: neither events nor the log hold the tag", async () => {
    const log = unlogged();
    const stage = await bringUp({ webhooks: { onResult: () => Promise.reject(new Error("no")) } });
    await stage.submit("demo/echo");
    await until(() => expect(told(stage).length).toBeGreaterThan(2));
    const tag = new URLSearchParams(queryOf(stage)).get("keyway") ?? "";
    expect(tag.length).toBeGreaterThan(40);
    expect(JSON.stringify([stage.observed, log.mock.calls])).not.toContain(tag);
  });
});
