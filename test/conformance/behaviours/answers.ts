import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { always, respond } from "../../upstream.ts";
import { valueIn } from "../../wire.ts";
import { digest, inPieces, noise, oddBodies } from "../bytes.ts";
import type { Mount } from "../mount.ts";
import { codeOf, job, run, stage, submit } from "../stage.ts";

const json = { "content-type": "application/json" };

/** What upstream answers arrives: status and bytes. */
export function answers(mount: Mount): void {
  describe("the status passes", () => {
    const statuses = [200, 201, 202, 203, 206, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 423];
    it.each([...statuses, 425, 428, 429, 451, 499, 500, 501, 502, 503, 504, 520, 599])("%i", async (status) => {
      const { upstream, ask } = await stage(mount);
      const body = `{"detail":"this is ${status}"}`;
      upstream.answer(always(status, { ...json, "x-fal-request-id": "r-1" }, body));
      const answer = await ask(run);
      expect(answer.status).toBe(status);
      expect(answer.body.toString()).toBe(body);
      expect(valueIn(answer.headers, "x-fal-request-id")).toBe("r-1");
      expect(upstream.arrivals).toHaveLength(1);
    });

    it.each([204, 205, 304])("%i, without a body", async (status) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(status, { "x-fal-request-id": "r-1" }));
      const answer = await ask(run);
      expect([answer.status, answer.body.length, answer.broken]).toEqual([status, 0, false]);
      expect(valueIn(answer.headers, "x-fal-request-id")).toBe("r-1");
    });

    it("422 keeps its list, its headers and its bytes", async () => {
      const { upstream, ask } = await stage(mount);
      const body =
        '{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"missing", "seed":9007199254740993}]}';
      const headers = { "x-fal-request-id": "r-2", "x-fal-error-type": "bad_request", "x-fal-billable-units": "0" };
      upstream.answer(always(422, { ...json, ...headers }, body));
      const answer = await ask(run);
      expect(answer.status).toBe(422);
      expect(answer.body.toString()).toBe(body);
      for (const [name, value] of Object.entries({ ...json, ...headers }))
        expect(valueIn(answer.headers, name)).toBe(value);
    });

    it("429 keeps Retry-After, 504 says whose timeout it was", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(429, { ...json, "retry-after": "7", "x-fal-needs-retry": "1" }, "{}"));
      const busy = await ask(run);
      expect([busy.status, valueIn(busy.headers, "retry-after")]).toEqual([429, "7"]);
      expect(valueIn(busy.headers, "x-fal-needs-retry")).toBe("1");
      upstream.answer(always(504, { ...json, "x-fal-request-timeout-type": "user" }, "{}"));
      const late = await ask(run);
      expect([late.status, valueIn(late.headers, "x-fal-request-timeout-type")]).toEqual([504, "user"]);
    });

    it("what comes before the answer (103) does not count as one", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(({ socket, response }) => {
        socket.write("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", () => respond(response, 200, json, '{"a":1}'));
      });
      const answer = await ask(run);
      expect([answer.status, answer.body.toString()]).toEqual([200, '{"a":1}']);
      expect(answer.headers.some(([name]) => name.toLowerCase() === "link")).toBe(false);
    });
  });

  describe("the bytes of the answer pass", () => {
    it.each(oddBodies)("%s", async (_name, body) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, json, body));
      const answer = await ask(run);
      expect(answer.body.equals(body)).toBe(true);
      expect(answer.broken).toBe(false);
      expect(Number(valueIn(answer.headers, "content-length"))).toBe(body.length);
    });

    it.each([
      ["text/html", "<script>alert(1)</script>"],
      ["text/plain; charset=latin1", "caf\u00e9"],
      ["application/x-ndjson", '{"a":1}\n{"a":2}\n'],
    ])("%s stays what it is", async (type, text) => {
      const { upstream, ask } = await stage(mount);
      const body = Buffer.from(text, "latin1");
      upstream.answer(always(200, { "content-type": type }, body));
      const answer = await ask(run);
      expect(valueIn(answer.headers, "content-type")).toBe(type);
      expect(answer.body.equals(body)).toBe(true);
    });

    it("3 MB of noise, with a length", async () => {
      const { upstream, ask } = await stage(mount);
      const body = noise(3_000_000);
      upstream.answer(always(200, { "content-type": "image/png" }, body));
      const answer = await ask(run);
      expect(digest(answer.body)).toBe(digest(body));
      expect(valueIn(answer.headers, "content-type")).toBe("image/png");
    });

    it("3 MB of noise, chunked", async () => {
      const { upstream, ask } = await stage(mount);
      const body = noise(3_000_000);
      upstream.answer(({ response }) => {
        response.writeHead(200, { "content-type": "application/octet-stream" });
        for (const piece of inPieces(body, 70_001)) response.write(piece);
        response.end();
      });
      const answer = await ask(run);
      expect(digest(answer.body)).toBe(digest(body));
      expect(answer.broken).toBe(false);
    });

    it("an answer to HEAD has no body", async () => {
      const { upstream, ask } = await stage(mount, { ownership: "app" });
      upstream.answer(always(200, { ...json, "content-length": "10" }));
      const answer = await ask(job, { method: "HEAD" });
      expect([answer.status, answer.body.length, answer.broken]).toEqual([200, 0, false]);
    });
  });

  describe("compressed answers", () => {
    const text = JSON.stringify({ text: "fal ".repeat(500) });

    it("arrive as the caller can read them", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer((arrival) => {
        const coded = arrival.values("accept-encoding").join().includes("gzip");
        if (coded) respond(arrival.response, 200, { ...json, "content-encoding": "gzip" }, gzipSync(text));
        else respond(arrival.response, 200, json, text);
      });
      const answer = await ask(run, { headers: [["accept-encoding", "gzip"]] });
      const [arrival] = upstream.arrivals;
      if (mount.transport === "node") {
        expect(arrival?.values("accept-encoding")).toEqual(["gzip"]);
        expect(valueIn(answer.headers, "content-encoding")).toBe("gzip");
        expect(answer.body.equals(gzipSync(text))).toBe(true);
      } else {
        expect(arrival?.values("accept-encoding")).toEqual(["identity"]);
        expect(valueIn(answer.headers, "content-encoding")).toBeUndefined();
        expect(answer.body.toString()).toBe(text);
      }
    });

    it("that nobody asked for are not damaged", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, { ...json, "content-encoding": "gzip" }, gzipSync(text)));
      const answer = await ask(run);
      if (valueIn(answer.headers, "content-encoding") === "gzip") expect(answer.body.equals(gzipSync(text))).toBe(true);
      else expect(answer.body.toString()).toBe(text);
    });

    it("are not asked for where the proxy must read the answer", async () => {
      const { upstream, ask } = await stage(mount);
      await ask(submit, { headers: [["accept-encoding", "gzip, br"]] });
      expect(upstream.arrivals[0]?.values("accept-encoding")).toEqual(["identity"]);
    });
  });

  describe("redirects are not followed", () => {
    it.each([301, 302, 303, 307, 308])("%i", async (status) => {
      const { upstream, ask, askPath } = await stage(mount);
      upstream.answer(always(status, { location: `${upstream.url}/fal.run/demo/elsewhere` }, "moved"));
      const header = await ask(run);
      expect(header.status).toBe(status);
      expect(header.headers.some(([name]) => name.toLowerCase() === "location")).toBe(false);
      const path = await askPath(run);
      expect([path.status, codeOf(path)]).toEqual([502, "upstream_redirect"]);
      expect(upstream.arrivals.map(({ url }) => url)).toEqual(["/fal.run/demo/echo", "/fal.run/demo/echo"]);
    });
  });
}
