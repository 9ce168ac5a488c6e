import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createEmulator, type Emulator, type Fault } from "./index.ts";

let emulator: Emulator;
let url: string;

beforeEach(async () => {
  emulator = createEmulator({ timeScale: 0 });
  ({ url } = await emulator.listen());
});
afterEach(() => emulator.close());

function run(app = "demo/echo"): Promise<Response> {
  return fetch(`${url}/fal.run/${app}`, {
    method: "POST",
    headers: { authorization: "Key a" },
    body: `{"a":"0123456789"}`,
  });
}

describe("answers in place of the usual one", () => {
  test.each<[Fault, number, string, Record<string, string>]>([
    [{ status: 503 }, 503, `{"detail":"Emulated fault 503"}`, { "content-type": "application/json" }],
    [{ status: 500, body: "" }, 500, "", {}],
    [
      { status: 502, headers: { "Content-Type": "text/html" }, body: "<p>" },
      502,
      "<p>",
      { "content-type": "text/html" },
    ],
    [{ body: { a: 1 }, headers: { "x-fal-billable-units": "3.0" } }, 500, `{"a":1}`, { "x-fal-billable-units": "3.0" }],
    [{ error: "html" }, 502, "nginx", { "content-type": "text/html" }],
    [{ error: "empty" }, 500, "", {}],
    [{ error: "user_timeout" }, 504, "request_timeout", { "x-fal-request-timeout-type": "user" }],
    [{ error: "runner_disconnected" }, 503, "runner_disconnected", { "x-fal-error-type": "runner_disconnected" }],
    [{ error: "validation" }, 422, `"type":"missing"`, { "x-fal-billable-units": "0" }],
    [{ error: "locked" }, 403, "User is locked", {}],
  ])("%o", async (fault, status, text, headers) => {
    emulator.faults.add(fault);
    const answer = await run();
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(text);
    for (const [name, value] of Object.entries(headers)) expect(answer.headers.get(name)).toBe(value);
    expect(answer.headers.get("x-fal-request-id")).toBeTruthy();
    expect((await run()).status).toBe(200);
  });
});

describe("broken connections", () => {
  test.each<[Fault, "no answer" | "part"]>([
    [{ drop: true }, "no answer"],
    [{ garbage: true }, "no answer"],
    [{ cutAfterBytes: 0 }, "part"],
    [{ cutAfterBytes: 5 }, "part"],
  ])("%o", async (fault, kind) => {
    emulator.faults.add(fault);
    const outcome = await run().catch(() => "no answer");
    if (kind === "no answer") expect(outcome).toBe("no answer");
    else {
      if (typeof outcome === "string") throw new Error("no head came");
      expect(outcome.headers.get("content-length")).toBe("18");
      expect(await readAll(outcome)).toEqual({
        text: `{"a":"0123456789"}`.slice(0, fault.cutAfterBytes),
        broken: true,
      });
    }
    expect(await emulator.calls[0]?.ended).toBe("broken");
  });

  test("a stream is cut in its middle", async () => {
    emulator.faults.add({ match: { kind: "stream" }, cutAfterBytes: 30 });
    const answer = await run("demo/echo/stream");
    const { text, broken } = await readAll(answer);
    expect([text, broken]).toEqual([`data: {"a":"0123456789"}\n\n`, false]);
    emulator.faults.add({ match: { kind: "stream" }, cutAfterBytes: 10 });
    expect(await readAll(await run("demo/echo/stream"))).toEqual({ text: `data: {"a"`, broken: true });
  });

  test("a stalled body stays open until its reader leaves", async () => {
    emulator.faults.add({ stallAfterBytes: 5 });
    const controller = new AbortController();
    const answer = await fetch(`${url}/fal.run/demo/echo`, {
      method: "POST",
      headers: { authorization: "Key a" },
      body: `{"a":"0123456789"}`,
      signal: controller.signal,
    });
    const reader = answer.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(`{"a":`);
    controller.abort();
    expect(await emulator.calls[0]?.ended).toBe("left");
  });
});

test("faults meet the calls they name, as often as they say", async () => {
  emulator.faults.add({ match: { kind: "run", app: "demo/image" }, status: 500 });
  const remove = emulator.faults.add({ match: { app: "demo/echo", method: "POST" }, status: 503, times: "always" });
  expect([(await run()).status, (await run()).status]).toEqual([503, 503]);
  remove();
  expect((await run()).status).toBe(200);
  expect(emulator.faults.list).toHaveLength(1);
});

test("a delayed answer comes late", async () => {
  emulator.faults.add({ delayMs: 40 });
  const begun = performance.now();
  expect((await run()).status).toBe(200);
  expect(performance.now() - begun).toBeGreaterThan(35);
});

test("faults can be set over HTTP, and mistakes in them are told", async () => {
  const set = (body: string): Promise<Response> => fetch(`${url}/__faults`, { method: "POST", body });
  expect((await set(`[{"match":{"kind":"run"},"error":"internal_error"}]`)).status).toBe(200);
  expect((await run()).status).toBe(500);
  const sessions = [`{"session":1}`, `{"session":{"happens":"rain"}}`, `{"session":{"happens":"close","code":1005}}`];
  for (const wrong of ["{", `{"sttus":1}`, `{"status":99}`, `{"error":"no"}`, "[1]", ...sessions]) {
    const answer = await set(wrong);
    expect([answer.status, Object.keys((await answer.json()) as object)]).toEqual([400, ["detail"]]);
  }
  await set(`{"status":500}`);
  await fetch(`${url}/__faults`, { method: "DELETE" });
  expect((await run()).status).toBe(200);
});

async function readAll(answer: Response): Promise<{ text: string; broken: boolean }> {
  let text = "";
  try {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
    return { text, broken: false };
  } catch {
    return { text, broken: true };
  }
}
