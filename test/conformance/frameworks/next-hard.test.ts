import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { send } from "../../wire.ts";
import { nextApp } from "../mounts/next-app.ts";
import { nextPages } from "../mounts/next-pages.ts";
import { createNextHost, startNext } from "../next-host.ts";
import { type Stage, codeOf, run, stage } from "../stage.ts";
import { createStagedHost } from "../staged-host.ts";

const path = "/shop/api/fal/proxy/";
const hard = { ...nextApp, name: "next-hard", startMount: createNextHost("next-hard", false, path) };

function urlOf({ mounted }: Stage): string {
  return `http://127.0.0.1:${(mounted.server.address() as AddressInfo).port}${path}`;
}

const headers = [
  ["authorization", "Bearer ada"],
  ["content-type", "application/json"],
] as const;

describe("Next with basePath, trailingSlash, cacheComponents, and a proxy.ts that sees every request", () => {
  it("header form passes at the path with its slash, and is redirected there without", async () => {
    const staged = await stage(hard);
    const target = [...headers, ["x-fal-target-url", run]] as const;
    expect((await send(urlOf(staged), { method: "POST", headers: target, body: "{}" })).status).toBe(200);
    const short = await send(urlOf(staged).slice(0, -1), { method: "POST", headers: target, body: "{}" });
    expect([short.status, short.headers.find(([name]) => name.toLowerCase() === "location")?.[1]]).toEqual([308, path]);
  });

  it("path form arrives with the slash that Next adds, and a job's URLs are built below basePath", async () => {
    const staged = await stage(hard, { ownership: "app" });
    const job = "https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab";
    const body = { request_id: "019e161b-386c-7d33-8e2f-0123456789ab", status_url: `${job}/status` };
    staged.upstream.answer(({ response }) => response.end(JSON.stringify(body)));
    const url = `${urlOf(staged)}queue.fal.run/demo/echo`;
    expect((await send(url, { method: "POST", headers, body: "{}" })).status).toBe(308);
    const answer = await send(`${url}/`, { method: "POST", headers, body: "{}" });
    expect(staged.upstream.arrivals.map((arrival) => arrival.url)).toEqual(["/queue.fal.run/demo/echo/"]);
    const { status_url: built }: { status_url: string } = JSON.parse(answer.body.toString());
    expect(built).toBe(body.status_url.replace("https://", urlOf(staged)));
  });

  it("so they are by the pages router", async () => {
    const mount = "/shop/api/pages/";
    const start = createStagedHost("next-hard-pages", () => startNext("next-hard"), mount);
    const staged = await stage({ ...nextPages, name: "next-hard-pages", startMount: start }, { ownership: "app" });
    const job = "https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab";
    const body = { request_id: "019e161b-386c-7d33-8e2f-0123456789ab", status_url: `${job}/status` };
    staged.upstream.answer(({ response }) => response.end(JSON.stringify(body)));
    const url = `http://127.0.0.1:${(staged.mounted.server.address() as AddressInfo).port}${mount}`;
    const answer = await send(`${url}queue.fal.run/demo/echo/`, { method: "POST", headers, body: "{}" });
    const { status_url: built }: { status_url: string } = JSON.parse(answer.body.toString());
    expect(built).toBe(body.status_url.replace("https://", url));
  });

  it("a body that Next cut short is refused and says so, and upstream gets no whole request", async () => {
    const staged = await stage(hard);
    const target = [...headers, ["x-fal-target-url", run]] as const;
    const answer = await send(urlOf(staged), { method: "POST", headers: target, body: Buffer.alloc(12_000_000, " ") });
    expect([answer.status, codeOf(answer)]).toEqual([400, "body_incomplete"]);
    expect(answer.body.toString()).toContain("proxyClientMaxBodySize");
    for (const arrival of staged.upstream.arrivals) await expect(arrival.whole).rejects.toThrow();
  });

  it("a body of 9 MB is whole", async () => {
    const staged = await stage(hard);
    const body = JSON.stringify("a".repeat(9_000_000));
    const answer = await send(urlOf(staged), {
      method: "POST",
      headers: [...headers, ["x-fal-target-url", run]],
      body,
    });
    expect(answer.status).toBe(200);
    expect(String(await staged.upstream.arrivals[0]?.whole)).toBe(body);
  });
});
