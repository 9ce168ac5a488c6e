import { describe, expect, it } from "vitest";
import { bringUp, until } from "./deliveries.ts";

describe("the list of a caller's jobs", () => {
  it("holds his own, the newest first, since when he asks", async () => {
    const stage = await bringUp();
    const first = await stage.submit("demo/echo");
    await stage.submit("demo/echo", {}, { user: "ben" });
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    const second = await stage.submit("demo/echo/sub");
    await stage.event(3);
    const list = async (query = "", user = "ann") => {
      const response = await stage.get(`/api/fal/proxy/~keyway/jobs${query}`, user);
      return ((await response.json()) as { jobs: { requestId: string; submittedAt: number; status: string }[] }).jobs;
    };
    await until(async () => expect((await list()).map(({ status }) => status)).toEqual(["OK", "OK"]));
    expect((await list()).map(({ requestId }) => requestId)).toEqual([second, first]);
    const [{ submittedAt } = { submittedAt: 0 }] = await list();
    expect((await list(`?since=${submittedAt}`)).map(({ requestId }) => requestId)).toEqual([second]);
    expect(await list("/", "ben")).toHaveLength(1);
    expect(await list("", "ben")).toHaveLength(1);
    expect(await list("", "eve")).toEqual([]);
    for (const query of ["?since=x", "?since=-1", "?most=3"])
      expect((await stage.get(`/api/fal/proxy/~keyway/jobs${query}`)).status).toBe(400);
    expect((await fetch(`${stage.url}/api/fal/proxy/~keyway/jobs`, { method: "POST" })).status).toBe(405);
  });

  it("is nobody's where nobody is asked, and no page of elsewhere reads it", async () => {
    const open = await bringUp({ keyway: { authorize: "public" } });
    expect((await open.get("/api/fal/proxy/~keyway/jobs")).status).toBe(403);
    const stage = await bringUp();
    const path = `${stage.url}/api/fal/proxy/~keyway/jobs`;
    expect((await fetch(path, { headers: { cookie: "a=b" } })).status).toBe(403);
    expect((await fetch(path, { headers: { cookie: "a=b", "x-keyway-client": "1" } })).status).toBe(200);
    expect((await fetch(path, { headers: { cookie: "a=b", origin: "https://evil.example" } })).status).toBe(403);
  });
});
