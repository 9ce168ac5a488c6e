import type { KeywayOptions } from "@keyway/core";
import { createKeyway } from "@keyway/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { mountPath } from "../conformance/mount.ts";
import { respond } from "../upstream.ts";
import { type Field, type Ground, open, prepareGround, startField } from "./ground.ts";
import { reset } from "./hostile.ts";
import { hold, runs, seed } from "./property.ts";
import { checkArrivals, run, toBytes } from "./row.ts";
import { parseUri } from "./uri.ts";

let ground: Ground;

beforeAll(async () => {
  ground = await prepareGround();
});

afterAll(async () => {
  await ground.close();
  process.stdout.write(`properties: ${runs} runs each, seed ${seed}\n`);
});

/** Pieces that targets are made of, good and bad, so that some strings get far into the grammar. */
const hosts = fc.constantFrom(
  "fal.run",
  "queue.fal.run",
  "rest.fal.ai",
  "rest.alpha.fal.ai",
  "ws.fal.run",
  "evil.example",
  "FAL.RUN",
  "fal.run.",
  "fal.run:443",
  "a@fal.run",
  "127.0.0.1",
  "[::1]",
  "",
);
const schemes = fc.constantFrom(
  "https://",
  "https://",
  "https://",
  "http://",
  "https:/",
  "HTTPS://",
  "//",
  "https:\\\\",
  "",
);
const segments = fc.oneof(
  fc.constantFrom(
    "demo",
    "echo",
    "fal-ai",
    "flux",
    "requests",
    "status",
    "stream",
    "cancel",
    "storage",
    "upload",
    "tokens",
    "workflows",
    "comfy",
  ),
  fc.constantFrom(
    ".",
    "..",
    "",
    "%2e%2e",
    "%2f",
    "%5c",
    "%252f",
    "%00",
    ";x",
    "a;b",
    "%C3%A9",
    "%c3%a9",
    "%",
    "%4",
    "*",
    "**",
    "a b",
    "\\",
    "@",
    ":",
    "~",
    "%41",
  ),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(...Array.from("abc-._~!$&'()*+,;=:@%2EefF/\\?#[]")), maxLength: 8 }),
);
const queries = fc.oneof(
  fc.constant(""),
  fc.constantFrom("?", "?a=1", "?fal_webhook=x", "?logs=1", "#x", "?a#b", "?a=%20", "?%66al_webhook=x"),
  fc.string({ maxLength: 8 }).map((text) => `?${text}`),
);
const plain = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.string({
      unit: fc.constantFrom(...Array.from("abcXYZ019-._~!$&'()*+,=:@")),
      minLength: 1,
      maxLength: 8,
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom("caf%C3%A9", "%E2%82%AC", "status", "stream", "requests") },
  { weight: 1, arbitrary: segments },
);
const targets = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom("fal.run", "queue.fal.run"), fc.array(plain, { minLength: 1, maxLength: 4 }))
      .map(([host, path]) => `https://${host}/demo/${path.join("/")}`),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(schemes, hosts, fc.array(segments, { maxLength: 6 }), queries)
      .map(([scheme, host, path, query]) => `${scheme}${host}/${path.join("/")}${query}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.array(segments, { maxLength: 4 }), queries)
      .map(([path, query]) => `https://fal.run/demo/${path.join("/")}${query}`),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.webUrl({ validSchemes: ["https"], withFragments: true, withQueryParameters: true }) },
);

const patterns = ["demo/**", "fal-ai/flux/**"];

/** Whether a decoded path belongs to what was let in. */
function isListed(host: string, path: string): boolean {
  if (host.startsWith("rest."))
    return /^\/(?:tokens\/(?:realtime)?|storage\/upload\/initiate(?:-multipart)?)$/.test(path);
  return /^\/(?:demo\/[^/]|fal-ai\/flux(?:\/|$))/.test(path) && !/\/\.{1,2}(?:\/|$)|\/\/|\\|;/.test(path);
}

describe("targets", () => {
  /** What would be sent for a target, or undefined when it is refused. */
  async function decided(
    target: string,
    options: Partial<KeywayOptions> = {},
  ): Promise<{ origin: string; path: string } | undefined> {
    const keyway = options.endpoints === undefined ? listed : createKeyway({ ...open, ...options });
    for (const method of ["POST", "GET", "PUT"]) {
      const answer = await keyway.plan({
        head: {
          method,
          path: mountPath,
          query: null,
          mount: undefined,
          headers: [
            ["x-fal-target-url", target],
            ["content-type", "application/json"],
          ],
          address: undefined,
          secure: false,
          upgrade: false,
        },
        native: undefined,
        codings: "pass",
        closing: false,
        body: async () => new TextEncoder().encode('{"allowed_apps":["demo/echo"]}'),
        isGone: () => false,
        waitUntil: () => undefined,
      });
      if (answer.type === "exchange") return answer.up;
      expect(answer.status).toBeLessThan(500);
    }
    return undefined;
  }
  let listed: ReturnType<typeof createKeyway>;

  beforeAll(() => {
    listed = createKeyway({ authorize: "public", endpoints: patterns, realtime: "token", uploads: { perMinute: 1e9 } });
  });

  it("(1) an accepted target means the same to two parsers, and stays listed however often it is decoded; (2) it is what is sent", async () => {
    let accepted = 0;
    await hold(
      targets,
      async (target) => {
        const up = await decided(target);
        if (up === undefined) return;
        accepted += 1;
        const url = new URL(target);
        const uri = parseUri(target);
        expect([url.protocol, url.port, url.username, url.password, url.hash]).toEqual(["https:", "", "", "", ""]);
        expect(uri).toMatchObject({ scheme: "https", userinfo: undefined, port: undefined, fragment: undefined });
        expect(uri?.host).toBe(url.hostname);
        expect(uri?.path).toBe(url.pathname);
        let path = url.pathname;
        for (let times = 0; times < 3; times += 1) {
          expect(isListed(url.hostname, path), path).toBe(true);
          path = decodeURIComponent(path);
        }
        expect(up.origin + up.path).toBe(target);
      },
      [
        run,
        "https://fal.run/demo/caf%C3%A9?x=1",
        "https://rest.fal.ai/tokens/",
        "https://queue.fal.run/fal-ai/flux/requests/1/status?logs=1",
      ],
    );
    expect(accepted).toBeGreaterThan(runs / 10);
  });
});

describe.each([node, web])("on the wire: $name", (mount) => {
  let field: Field;

  beforeAll(async () => {
    field = await startField(ground, mount);
  });

  afterAll(async () => {
    await field.mounted.close();
  });

  const names = fc.oneof(
    fc.constantFrom(
      "authorization",
      "cookie",
      "connection",
      "x-fal-user-id",
      "x-fal-tags",
      "x-fal-queue-priority",
      "x-forwarded-for",
      "te",
      "keep-alive",
      "origin",
      "accept",
      "user-agent",
      "accept-encoding",
      "x-fal-target-url2",
      "host2",
      "via",
      "range",
      "__proto__",
      "x_fal_tags",
      "proxy-authorization",
    ),
    fc.string({ unit: fc.constantFrom(...Array.from("abcxyzABC019-_!#$&'*+.^`|~")), minLength: 1, maxLength: 12 }),
  );
  const values = fc.oneof(
    fc.constantFrom(
      "close",
      "keep-alive",
      "authorization",
      "Key other:key",
      "x-fal-tags, authorization",
      "identity",
      "trailers",
      "",
    ),
    fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 30 }),
  );
  const framing = new Set([
    "content-length",
    "transfer-encoding",
    "content-type",
    "host",
    "expect",
    "upgrade",
    "x-fal-target-url",
    "content-encoding",
    "trailer",
  ]);

  it("(3) whatever headers come in, the documented ones go out, and the key once", { timeout: 80_000 }, async () => {
    ground.upstream.answer(({ response }) => respond(response, 200, { "content-type": "application/json" }, "{}"));
    await hold(fc.array(fc.tuple(names, values), { maxLength: 12 }), async (headers) => {
      const before = ground.upstream.arrivals.length;
      const line = await field.line();
      const lines = headers
        .filter(([name]) => !framing.has(name.toLowerCase()))
        .map(([name, value]) => `${name}: ${value}`);
      line.write(toBytes({ lines }, field));
      const reply = await line.reply();
      line.leave();
      const arrivals = ground.upstream.arrivals.slice(before);
      expect([200, 400, 403]).toContain(reply?.status);
      expect(arrivals.length).toBe(reply?.status === 200 ? 1 : 0);
      checkArrivals(field, arrivals);
    });
  });

  it("(4) however a body is cut into chunks, the same bytes go out", { timeout: 80_000 }, async () => {
    ground.upstream.answer(({ whole, response }) => {
      whole.then(
        (body) => respond(response, 200, { "content-type": "application/octet-stream" }, body),
        () => response.destroy(),
      );
    });
    const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 2000 }), { maxLength: 12 });
    await hold(fc.tuple(bodies, fc.boolean()), async ([chunks, chunked]) => {
      const whole = Buffer.concat(chunks);
      const line = await field.line();
      const length = chunked ? "transfer-encoding: chunked" : `content-length: ${whole.length}`;
      line.write(toBytes({ raw: `{head}\r\n${length}\r\n\r\n` }, field));
      for (const chunk of chunks) {
        line.write(
          chunked
            ? Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")])
            : chunk,
        );
        if (chunk.length % 3 === 0) await new Promise(setImmediate);
      }
      if (chunked) line.write("0\r\n\r\n");
      const reply = await line.reply();
      line.leave();
      expect([reply?.status, reply?.whole]).toEqual([200, true]);
      expect(reply?.body.equals(whole)).toBe(true);
    });
  });

  it("(5) wherever upstream's answer is cut, the caller sees a break", { timeout: 80_000 }, async () => {
    const answers = fc.tuple(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constantFrom("length", "chunked"),
      fc.nat(),
      fc.constantFrom("end", "reset"),
    );
    await hold(answers, async ([body, framing_, at, how]) => {
      const bytes = framing_ === "length" ? withLength(body) : inChunks(body);
      const cut = at % (bytes.length + 1);
      ground.upstream.answer(({ socket }) => {
        const finish = (): void => (how === "reset" ? reset(socket) : void socket.end());
        if (cut === 0) finish();
        else socket.write(bytes.subarray(0, cut), () => setImmediate(finish));
      });
      const line = await field.line();
      line.write(toBytes({}, field));
      const reply = await line.reply();
      line.leave();
      if (cut === bytes.length) expect(reply?.body.equals(body) && reply.whole).toBe(true);
      else
        expect(reply === undefined || reply.status === 500 || !reply.whole, `${reply?.status} ${reply?.whole}`).toBe(
          true,
        );
    });
  });
});

function withLength(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`), body]);
}

function inChunks(body: Uint8Array): Buffer {
  const half = Math.ceil(body.length / 2);
  const parts = [body.subarray(0, half), body.subarray(half)].filter((part) => part.length > 0);
  const chunks = parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
  return Buffer.concat([
    Buffer.from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
    ...chunks,
    Buffer.from("0\r\n\r\n"),
  ]);
}

it("nothing died, and the key was in no answer", () => {
  expect([ground.deaths, ground.watch.sightings]).toEqual([[], 0]);
});
