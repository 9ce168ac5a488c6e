import { afterEach, expect, test, vi } from "vitest";
import { jobs } from "./jobs.ts";

afterEach(() => vi.unstubAllGlobals());

/** Answers every request so; the requests come back. */
function answerWith(status: number, body: string): Request[] {
  const asked: Request[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    asked.push(new Request(url, init));
    return new Response(body, { status });
  });
  return asked;
}

const proxyUrl = "https://app.example/api/fal/proxy/";

test("asks the mount, shows that it is no form of another page, and may say since when", async () => {
  const job = { requestId: "1.seal", endpoint: "fal-ai/flux/dev", submittedAt: 1, status: "OPEN" };
  const asked = answerWith(200, JSON.stringify({ jobs: [job] }));
  expect(await jobs({ proxyUrl })).toEqual([job]);
  await jobs({ proxyUrl, since: new Date(5) });
  await jobs({ proxyUrl, since: 7 });
  const list = "https://app.example/api/fal/proxy/~keyway/jobs";
  expect(asked.map(({ url }) => url)).toEqual([list, `${list}?since=5`, `${list}?since=7`]);
  expect([asked[0]?.headers.get("x-keyway-client"), asked[0]?.credentials]).toEqual(["1", "include"]);
});

test("sends the app's own headers", async () => {
  const asked = answerWith(200, '{"jobs":[]}');
  await jobs({ proxyUrl, headers: () => ({ authorization: "Bearer ada" }) });
  expect(asked.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer ada"]);
});

test.each([
  [401, '{"message":"Sign in first."}', "Sign in first."],
  [502, "<html>", "The proxy answered 502."],
  [200, "{}", "The proxy answered 200."],
])("%s %s is an error that says so", async (status, body, message) => {
  answerWith(status, body);
  await expect(jobs({ proxyUrl })).rejects.toThrow(message);
});
