import { describe, expect, it } from "vitest";
import { always } from "../../upstream.ts";
import { type HeaderLine, type Received, valueIn } from "../../wire.ts";
import type { Mount } from "../mount.ts";
import { run, stage, stream } from "../stage.ts";

const crossing: Readonly<Record<string, string>> = {
  "content-type": "application/json",
  "content-language": "en",
  "content-disposition": 'attachment; filename="a.json"',
  "content-range": "bytes 0-1/2",
  "x-fal-request-id": "r-1",
  "x-fal-billable-units": "2.5",
  "x-fal-error-type": "bad_request",
  "x-fal-request-timeout-type": "user",
  "x-fal-needs-retry": "0",
  "x-fal-served-from": "runner-1",
  "x-fal-runner-hints": "a,b",
  "retry-after": "3",
};

const staying: Readonly<Record<string, string | string[]>> = {
  "set-cookie": ["session=stolen; Path=/", "b=2"],
  "access-control-allow-origin": "*",
  "access-control-allow-credentials": "true",
  "access-control-expose-headers": "*",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "content-security-policy-report-only": "default-src *",
  "x-fal-cdn-token": "secret",
  "www-authenticate": "Basic",
  "clear-site-data": '"*"',
  "alt-svc": 'h3=":443"',
  "service-worker-allowed": "/",
  server: "uvicorn",
  etag: '"1"',
  expires: "0",
  age: "1",
  pragma: "public",
  link: "</a>; rel=preload",
  location: "https://evil.example",
  refresh: "0;url=https://evil.example",
  "x-powered-by": "them",
  upgrade: "h2c",
  trailer: "x-t",
  "proxy-authenticate": "Basic",
};

/** Set on every answer, whoever gave it. */
const own: Readonly<Record<string, string>> = {
  "cache-control": "no-store, private",
  "x-content-type-options": "nosniff",
  "content-security-policy": "sandbox; default-src 'none'",
  "cross-origin-resource-policy": "same-origin",
};

function expectOwn(answer: Received): void {
  for (const [name, value] of Object.entries(own)) expect(valueIn(answer.headers, name)).toBe(value);
  const vary = (valueIn(answer.headers, "vary") ?? "").split(", ");
  expect(vary).toEqual(expect.arrayContaining(["origin", "x-fal-target-url", "authorization", "cookie"]));
}

/** Which headers the caller sees. */
export function answerHeaders(mount: Mount): void {
  describe("the answer's headers", () => {
    it.each(Object.entries(crossing))("%s crosses", async (name, value) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, { "content-type": "application/json", [name]: value }, "{}"));
      expect(valueIn((await ask(run)).headers, name)).toBe(value);
    });

    it.each(Object.entries(staying))("%s does not", async (name, value) => {
      const { upstream, ask } = await stage(mount);
      const chunked = name === "trailer" ? { "transfer-encoding": "chunked" } : {};
      upstream.answer(always(200, { "content-type": "application/json", ...chunked, [name]: value }, "{}"));
      const answer = await ask(run);
      expect([answer.status, answer.body.toString()]).toEqual([200, "{}"]);
      const theirs = [value].flat();
      expect(answer.headers.filter(([key, text]) => key.toLowerCase() === name && theirs.includes(text))).toEqual([]);
    });

    it("set by us: in place of upstream's, on every answer", async () => {
      const { upstream, ask, askPath } = await stage(mount);
      const hostile = { "cache-control": "public, max-age=60", vary: "*", "content-security-policy": "default-src *" };
      upstream.answer(always(200, { "content-type": "text/html", ...hostile, "x-content-type-options": "off" }, "<b>"));
      const answers = [
        await ask(run),
        await askPath(run),
        await ask(run, { as: null }),
        await ask("https://evil.example/a/b"),
        await ask(run, { method: "PATCH" }),
        await ask(run, { type: "text/plain", body: "a" }),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 401, 400, 405, 415]);
      for (const answer of answers) expectOwn(answer);
    });

    it("on streams: no buffering, no transforming", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, { "content-type": "text/event-stream; charset=utf-8" }, "data: 1\n\n"));
      for (const target of [stream, run]) {
        const { headers } = await ask(target);
        expect(valueIn(headers, "content-type")).toBe("text/event-stream; charset=utf-8");
        expect(valueIn(headers, "cache-control")).toBe("no-store, private, no-transform");
        expect(valueIn(headers, "x-accel-buffering")).toBe("no");
      }
    });

    it("hop-by-hop names stay, also those that Connection lists", async () => {
      const { upstream, ask } = await stage(mount);
      const listed: HeaderLine[] = [
        ["connection", "close, x-fal-served-from"],
        ["x-fal-served-from", "inside"],
        ["keep-alive", "timeout=99"],
      ];
      upstream.answer(({ socket }) => {
        const lines = listed.map(([name, value]) => `${name}: ${value}\r\n`).join("");
        socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n${lines}\r\n{}`);
      });
      const answer = await ask(run);
      expect(answer.body.toString()).toBe("{}");
      expect(valueIn(answer.headers, "x-fal-served-from")).toBeUndefined();
      expect(valueIn(answer.headers, "keep-alive")).not.toBe("timeout=99");
    });

    it("never two lengths", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, { "content-type": "application/json", "transfer-encoding": "chunked" }, '{"a":1}'));
      const { headers, body } = await ask(run);
      const names = headers.map(([name]) => name.toLowerCase());
      expect(names.filter((name) => name === "content-length" || name === "transfer-encoding")).toHaveLength(1);
      expect(body.toString()).toBe('{"a":1}');
    });
  });
}
