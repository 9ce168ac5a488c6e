import { describe, expect, it } from "vitest";
import { always } from "../../upstream.ts";
import { type HeaderLine, type Received, valueIn } from "../../wire.ts";
import type { Mount } from "../mount.ts";
import { byName, codeOf, job, run, stage } from "../stage.ts";

const cookie: HeaderLine = ["cookie", "session=ada"];
const page = "https://page.example";

/** What a request says of where it comes from, and whether it may call with a cookie. `own` stands for the mount's origin. */
const rows: readonly (readonly [name: string, headers: readonly HeaderLine[], header: number, path: number])[] = [
  ["our own origin", [["origin", "own"]], 200, 200],
  [
    "our own origin, same-origin",
    [
      ["origin", "own"],
      ["sec-fetch-site", "same-origin"],
    ],
    200,
    200,
  ],
  ["a foreign origin", [["origin", "https://evil.example"]], 403, 403],
  [
    "a foreign origin that says same-origin",
    [
      ["origin", "https://evil.example"],
      ["sec-fetch-site", "same-origin"],
    ],
    403,
    403,
  ],
  ["an origin that begins alike", [["origin", "own.evil.example"]], 403, 403],
  ["another port", [["origin", "http://127.0.0.1:1"]], 403, 403],
  ["origin null", [["origin", "null"]], 403, 403],
  [
    "two origins",
    [
      ["origin", "own"],
      ["origin", "https://evil.example"],
    ],
    400,
    400,
  ],
  ["same-origin", [["sec-fetch-site", "same-origin"]], 200, 200],
  ["cross-site", [["sec-fetch-site", "cross-site"]], 403, 403],
  ["same-site", [["sec-fetch-site", "same-site"]], 403, 403],
  ["none", [["sec-fetch-site", "none"]], 403, 403],
  ["nothing at all", [], 200, 403],
  [
    "a page opened",
    [
      ["sec-fetch-site", "same-origin"],
      ["sec-fetch-mode", "navigate"],
    ],
    200,
    403,
  ],
  [
    "an image",
    [
      ["sec-fetch-site", "same-origin"],
      ["sec-fetch-mode", "no-cors"],
    ],
    200,
    403,
  ],
];

/** Which pages may call with the app's cookie. */
export function origins(mount: Mount): void {
  describe("a call with a cookie and", () => {
    it.each(rows)("%s", async (_name, given, inHeader, inPath) => {
      const { upstream, mounted, ask, askPath } = await stage(mount);
      const own = new URL(mounted.url).origin;
      const said = given.map(([name, value]): HeaderLine => [name, value.replace(/^own/, own)]);
      const asked = { as: null, headers: [cookie, ...said] };
      const statuses = [(await ask(run, asked)).status, (await askPath(run, asked)).status];
      // fetch's Headers join two lines into one value, which is then foreign
      const joined = (status: number): number => (status === 400 && mount.transport === "web" ? 403 : status);
      expect(statuses).toEqual([inHeader, inPath].map(joined));
      expect(upstream.arrivals).toHaveLength(statuses.filter((status) => status === 200).length);
    });

    it("is refused before authorize is asked", async () => {
      let asked = 0;
      const { ask } = await stage(mount, { authorize: () => (asked++, { id: "ada" }) });
      await ask(run, { as: null, headers: [cookie, ["origin", "https://evil.example"]] });
      expect(asked).toBe(0);
    });
  });

  describe("without a cookie", () => {
    it("a foreign origin calls by its bearer, and gets no CORS answer", async () => {
      const { ask } = await stage(mount);
      const answer = await ask(run, {
        headers: [
          ["origin", "https://evil.example"],
          ["sec-fetch-site", "cross-site"],
        ],
      });
      expect(answer.status).toBe(200);
      expect(corsOf(answer)).toEqual([]);
    });

    it("a path form that is opened as a page is refused", async () => {
      const { upstream, askPath } = await stage(mount, { ownership: "app" });
      const answer = await askPath(job, { method: "GET", headers: [["sec-fetch-mode", "navigate"]] });
      expect([answer.status, codeOf(answer)]).toEqual([403, "forbidden_navigation"]);
      expect(upstream.connections).toBe(0);
    });
  });

  describe("publicUrl", () => {
    it("names our own origin", async () => {
      const { ask } = await stage(mount, { publicUrl: "https://app.example/api/fal/proxy" });
      const asked = (origin: string) => ({ as: null, headers: [cookie, ["origin", origin] as const] });
      expect((await ask(run, asked("https://app.example"))).status).toBe(200);
      expect((await ask(run, asked("http://app.example"))).status).toBe(403);
      expect((await ask(run, asked("https://evil.app.example"))).status).toBe(403);
    });

    it("must be stated where the Host header is all there is: 500 in neutral words, never a guess", async () => {
      const { log, ask } = await stage(mount);
      const headers: HeaderLine[] = [cookie, ["host", "app.example"], ["origin", "https://app.example"]];
      const answer = await ask(run, { as: null, headers });
      expect([answer.status, codeOf(answer)]).toEqual([500, "public_url_missing"]);
      expect(log.join("\n")).toContain("publicUrl must be stated");
    });
  });

  describe("CORS", () => {
    it("a listed origin calls, and may read the answer", async () => {
      const { upstream, ask } = await stage(mount, { origins: [page] });
      upstream.answer(always(200, { "content-type": "application/json", "access-control-allow-origin": "*" }, "{}"));
      const answer = await ask(run, { as: null, headers: [cookie, ["origin", page]] });
      expect(answer.status).toBe(200);
      expect(valueIn(answer.headers, "access-control-allow-origin")).toBe(page);
      expect(valueIn(answer.headers, "access-control-allow-credentials")).toBe("true");
      expect(valueIn(answer.headers, "access-control-expose-headers")).toContain("x-fal-request-id");
      expect(valueIn(answer.headers, "cross-origin-resource-policy")).toBe("cross-origin");
      expect(answer.headers.some(([name, value]) => name.toLowerCase() === "vary" && value.startsWith("origin"))).toBe(
        true,
      );
    });

    it("refusals can be read too", async () => {
      const { ask } = await stage(mount, { origins: [page], authorize: () => null });
      for (const target of [run, "https://evil.example/a/b"]) {
        const answer = await ask(target, { headers: [["origin", page]] });
        expect(valueIn(answer.headers, "access-control-allow-origin")).toBe(page);
      }
    });

    it("an origin that is not listed is told nothing", async () => {
      const { ask } = await stage(mount, { origins: [page] });
      const answer = await ask(run, { headers: [["origin", "https://evil.example"]] });
      expect(corsOf(answer)).toEqual([]);
    });

    it.each([
      ["listed", page, 204],
      ["not listed", "https://evil.example", 403],
      ["null", "null", 403],
    ])("a preflight of an origin that is %s never reaches upstream", async (_name, origin, status) => {
      const { upstream, ask, askPath } = await stage(mount, {
        origins: [page],
        authorize: byName,
        forwardHeaders: ["x-custom"],
      });
      const headers: HeaderLine[] = [
        ["origin", origin],
        ["access-control-request-method", "POST"],
        ["access-control-request-headers", "x-fal-target-url"],
      ];
      for (const send of [ask, askPath]) {
        const answer = await send(run, { method: "OPTIONS", as: null, type: null, headers });
        expect(answer.status).toBe(status);
        expect(valueIn(answer.headers, "access-control-allow-origin")).toBe(status === 204 ? origin : undefined);
        if (status !== 204) continue;
        expect(valueIn(answer.headers, "access-control-allow-methods")).toBe("POST, GET, PUT, PATCH, DELETE, HEAD");
        const allowed = valueIn(answer.headers, "access-control-allow-headers")?.split(", ");
        const expected = [
          "x-fal-target-url",
          "authorization",
          "content-type",
          "accept",
          "idempotency-key",
          "x-keyway-client",
          "x-custom",
          "x-fal-queue-priority",
        ];
        expect(allowed).toEqual(expect.arrayContaining(expected));
        expect(allowed).not.toContain("*");
      }
      expect(upstream.connections).toBe(0);
    });

    it("a plain OPTIONS is ours too", async () => {
      const { upstream, ask } = await stage(mount);
      const answer = await ask(run, { method: "OPTIONS", as: null, type: null });
      expect([answer.status, corsOf(answer)]).toEqual([204, []]);
      expect(upstream.connections).toBe(0);
    });
  });
}

function corsOf({ headers }: Received): readonly HeaderLine[] {
  return headers.filter(([name]) => name.toLowerCase().startsWith("access-control-"));
}
