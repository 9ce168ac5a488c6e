import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type HeaderLine, send, valueIn } from "../../wire.ts";
import { inPieces } from "../bytes.ts";
import { type Mount, isLimited } from "../mount.ts";
import { codeOf, job, run, stage, stream, submit } from "../stage.ts";

const hostileTargets: readonly (readonly [why: string, target: string])[] = [
  ["not a URL", "fal.run/demo/echo"],
  ["http", "http://fal.run/demo/echo"],
  ["another scheme", "ftp://fal.run/demo/echo"],
  ["relative", "/demo/echo"],
  ["scheme-relative", "//fal.run/demo/echo"],
  ["a foreign host", "https://evil.example/demo/echo"],
  ["a host that ends alike", "https://evilfal.run/demo/echo"],
  ["a host that begins alike", "https://fal.run.evil.example/demo/echo"],
  ["an unlisted subdomain", "https://x.fal.run/demo/echo"],
  ["a host not spoken here", "https://ws.fal.run/demo/echo"],
  ["the platform's own API", "https://api.fal.ai/v1/models/usage"],
  ["userinfo", "https://fal.run@evil.example/demo/echo"],
  ["userinfo before", "https://user:pass@fal.run/demo/echo"],
  ["a port", "https://fal.run:8443/demo/echo"],
  ["the usual port", "https://fal.run:443/demo/echo"],
  ["a trailing dot", "https://fal.run./demo/echo"],
  ["upper case", "https://FAL.RUN/demo/echo"],
  ["a backslash", "https://fal.run\\@evil.example/demo/echo"],
  ["a fragment", "https://evil.example/#https://fal.run/demo/echo"],
  ["a fragment behind", "https://fal.run/demo/echo#x"],
  ["loopback", "https://127.0.0.1/demo/echo"],
  ["metadata", "https://169.254.169.254/latest/meta-data"],
  ["dot segments", "https://fal.run/demo/echo/../../other/app"],
  ["encoded dot segments", "https://fal.run/demo/echo/%2e%2e/app"],
  ["double encoding", "https://fal.run/demo/%252e%252e/app"],
  ["an encoded slash", "https://fal.run/demo%2fecho/app"],
  ["an empty segment", "https://fal.run//demo/echo"],
  ["a path parameter", "https://fal.run/demo/echo;x=1"],
  ["an encoded line break", "https://fal.run/demo/echo%0d%0ax:1"],
  ["white space", "https://fal.run/demo/ec ho"],
  ["too short", "https://fal.run/demo"],
  ["no path", "https://fal.run"],
  ["8 KB", `https://fal.run/demo/${"a".repeat(8200)}`],
  ["a queue path that is none", "https://queue.fal.run/demo/echo/requests/a/b/c"],
  ["a storage path that is not listed", "https://rest.fal.ai/storage/auth/token"],
  ["keys", "https://rest.fal.ai/keys/"],
];

/** What is refused, by whom it can be mended, and that upstream hears nothing of it. */
export function refusing(mount: Mount): void {
  describe("targets", () => {
    it.each(hostileTargets)("%s: 400, upstream untouched", async (_why, target) => {
      const { upstream, ask } = await stage(mount);
      for (const method of ["POST", "GET", "PUT"]) {
        const answer = await ask(target, { method });
        expect(answer.status).toBe(400);
        expect(codeOf(answer)).toMatch(/^(?:target_refused|unknown_call|unsupported_call)$/);
      }
      expect(upstream.connections).toBe(0);
    });

    it.each<[string, HeaderLine[], string]>([
      ["none", [], ""],
      ["an empty one", [["x-fal-target-url", ""]], ""],
      [
        "two headers",
        [
          ["x-fal-target-url", run],
          ["x-fal-target-url", run],
        ],
        "",
      ],
      ["header and path", [["x-fal-target-url", run]], "/fal.run/demo/echo"],
      ["header and query", [["x-fal-target-url", run]], "?x=1"],
    ])("%s: 400", async (_name, headers, more) => {
      const { upstream, mounted } = await stage(mount);
      const sent = [["authorization", "Bearer ada"], ["content-type", "application/json"], ...headers] as const;
      const answer = await send(mounted.url + more, { method: "POST", headers: sent, body: "{}" });
      expect(answer.status).toBe(400);
      expect(codeOf(answer)).toMatch(/_target$|^target_refused$/);
      expect(upstream.connections).toBe(0);
    });

    it.for([
      ["own routes", "/~keyway/none", 404],
      ["the bare host", "/fal.run", 400],
      ["a port in the host", "/fal.run:443/demo/echo", 400],
      ["an encoded slash", "/fal.run/demo%2Fecho", 400],
      ["a double slash", "/fal.run//demo/echo", 400],
    ] as const)("path form, %s", async ([name, path, status], context) => {
      const { upstream, mounted } = await stage(mount);
      const headers: HeaderLine[] = [
        ["authorization", "Bearer ada"],
        ["content-type", "application/json"],
      ];
      const answer = await send(mounted.url + path, { method: "POST", headers, body: "{}" });
      const redirected = name === "a double slash" && isLimited(mount, "double slash", context);
      expect(answer.status).toBe(redirected ? 308 : status);
      expect(upstream.connections).toBe(0);
    });

    it("endpoints: what is not listed is 403, by every method", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: ["demo/echo/**", "demo/other"], ownership: "app" });
      expect((await ask("https://fal.run/demo/echo/fast")).status).toBe(200);
      expect((await ask("https://queue.fal.run/demo/other")).status).toBe(200);
      const refused = [
        await ask("https://fal.run/demo/otherwise"),
        await ask("https://fal.run/demo/other/path"),
        await ask("https://fal.run/workflows/demo/echo"),
        await ask("https://queue.fal.run/demo/none"),
        await ask("https://queue.fal.run/demo/none/requests/r-1/status", { method: "GET" }),
        await ask("https://queue.fal.run/demo/none/requests/r-1/cancel", { method: "PUT" }),
      ];
      expect(refused.map((answer) => [answer.status, codeOf(answer)])).toEqual(
        refused.map(() => [403, "endpoint_refused"]),
      );
      expect(upstream.arrivals).toHaveLength(2);
    });

    it("an empty list allows nothing", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: [] });
      expect((await ask(run)).status).toBe(403);
      expect(upstream.connections).toBe(0);
    });
  });

  describe("methods", () => {
    it.each([
      ["run", run, ["PATCH", "DELETE", "PUT", "GET"], "POST"],
      ["stream", stream, ["GET"], "POST"],
      ["submit", submit, ["GET", "PUT", "DELETE", "PATCH", "HEAD"], "POST"],
      ["status", `${job}/status`, ["POST", "PUT", "DELETE"], "GET, HEAD"],
      ["status-stream", `${job}/status/stream`, ["POST", "HEAD"], "GET"],
      ["result", job, ["POST", "PUT", "DELETE"], "GET, HEAD"],
      ["cancel", `${job}/cancel`, ["GET", "POST", "DELETE"], "PUT"],
      ["token", "https://rest.fal.ai/tokens/", ["GET", "PUT"], "POST"],
      ["upload", "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3", ["GET", "DELETE"], "POST"],
    ])("%s: others are 405 with Allow", async (_kind, target, methods, allowed) => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      for (const method of methods) {
        const answer = await ask(target, { method });
        expect([method, answer.status, valueIn(answer.headers, "allow")]).toEqual([method, 405, allowed]);
      }
      expect(upstream.connections).toBe(0);
    });

    it("an override header changes nothing", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(run, {
        headers: [
          ["x-http-method-override", "DELETE"],
          ["x-method-override", "GET"],
        ],
      });
      expect(upstream.arrivals.map(({ method }) => method)).toEqual(["POST"]);
    });

    it("an endpoint's rule may let others run it", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { methods: ["POST", "GET"] } } });
      expect((await ask(`${run}?a=1`, { method: "GET" })).status).toBe(200);
      expect((await ask(run, { method: "DELETE" })).status).toBe(405);
      expect(upstream.arrivals.map(({ method, url }) => [method, url])).toEqual([["GET", "/fal.run/demo/echo?a=1"]]);
    });
  });

  describe("bodies", () => {
    it("too long by its length: 413 before upstream is asked", async () => {
      const { upstream, ask } = await stage(mount, { maxBodyBytes: 1000 });
      expect((await ask(run, { body: "a".repeat(1000) })).status).toBe(200);
      const answer = await ask(run, { body: "a".repeat(1001) });
      expect([answer.status, codeOf(answer)]).toEqual([413, "body_too_large"]);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("too long in chunks: 413, and upstream never has a whole request", async () => {
      const { upstream, ask } = await stage(mount, { maxBodyBytes: 100_000 });
      expect((await ask(run, { chunks: [...inPieces(Buffer.alloc(100_000), 9999)] })).status).toBe(200);
      const answer = await ask(run, { chunks: [...inPieces(Buffer.alloc(100_001), 9999)] });
      expect([answer.status, codeOf(answer)]).toEqual([413, "body_too_large"]);
      const second = upstream.arrivals[1];
      if (second !== undefined) await expect(second.whole).rejects.toThrow();
    });

    it("a body that stops arriving: 400, upstream given up", async () => {
      const { upstream, start } = await stage(mount, { timeouts: { callerBody: 50 } });
      const request = start(run, { headers: [["content-length", "500000"]], body: Buffer.alloc(100_000) });
      const status = await new Promise((resolve) =>
        request.once("response", (response) => resolve(response.statusCode)),
      );
      request.destroy();
      expect(status).toBe(400);
      for (const { closed } of upstream.arrivals) await closed;
    });

    it.each([
      ["text", "text/plain"],
      ["a form", "application/x-www-form-urlencoded"],
      ["multipart", "multipart/form-data; boundary=x"],
      ["octets", "application/octet-stream"],
      ["JSON in name only", "text/plain; application/json"],
      ["JSON behind a comma", "text/plain, application/json"],
      ["a longer name", "application/jsonp"],
      ["another JSON", "application/ld+json"],
      ["no type", null],
      ["an empty type", ""],
    ])("%s: 415", async (_name, type) => {
      const { upstream, ask } = await stage(mount);
      const answer = await ask(run, { type, body: '{"a":1}' });
      expect([answer.status, codeOf(answer)]).toEqual([415, "unsupported_media_type"]);
      expect(upstream.connections).toBe(0);
    });

    it.each(["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json\t;a=b"])(
      "%j is JSON",
      async (type) => {
        const { ask } = await stage(mount);
        expect((await ask(run, { type })).status).toBe(200);
      },
    );

    it("a compressed request: 415", async () => {
      const { upstream, ask } = await stage(mount);
      const answer = await ask(run, { headers: [["content-encoding", "gzip"]], body: gzipSync("{}") });
      expect([answer.status, codeOf(answer)]).toEqual([415, "unsupported_content_encoding"]);
      expect(upstream.connections).toBe(0);
    });

    it("where none belongs: 400", async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      const answer = await ask(`${job}/cancel`, { method: "PUT", body: '{"a":1}' });
      expect([answer.status, codeOf(answer)]).toEqual([400, "unexpected_body"]);
      expect(upstream.connections).toBe(0);
    });
  });

  describe("queries", () => {
    it.each([
      ["a caller's webhook", `${submit}?fal_webhook=https://evil.example/hook`, "POST", "webhook_refused"],
      ["the same, encoded", `${submit}?fal%5Fwebhook=https://evil.example/hook`, "POST", "webhook_refused"],
      ["a name that steers the platform, on a run", `${run}?fal_jwt_token=x`, "POST", "query_refused"],
      ["an unknown name on submit", `${submit}?a=1`, "POST", "query_refused"],
      ["a name on a result", `${job}?logs=1`, "GET", "query_refused"],
      ["a name on status", `${job}/status?x=1`, "GET", "query_refused"],
      ["a name twice", `${job}/status?logs=1&logs=0`, "GET", "query_refused"],
      ["another storage", "https://rest.fal.ai/storage/upload/initiate?storage_type=gcs", "POST", "query_refused"],
    ])("%s: 400", async (_name, target, method, code) => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      const answer = await ask(target, { method });
      expect([answer.status, codeOf(answer)]).toEqual([400, code]);
      expect(upstream.connections).toBe(0);
    });

    it.each([
      [`${submit}?fal_max_queue_length=3`, "POST"],
      [`${job}/status?logs=1`, "GET"],
      [`${job}/status?logs=true`, "GET"],
      [`${job}/status/stream?logs=0`, "GET"],
    ])("%s passes", async (target, method) => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      expect((await ask(target, { method })).status).toBe(200);
      expect(`https:/${upstream.arrivals[0]?.url ?? ""}`).toBe(target);
    });
  });
}
