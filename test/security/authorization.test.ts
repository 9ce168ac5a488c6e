import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthorizeContext, type KeywayOptions, createKeyway } from "@keyway/core";
import { byName } from "../conformance/stage.ts";
import { mounts } from "../conformance/mounts/all.ts";
import { mountPath } from "../conformance/mount.ts";
import { always, respond } from "../upstream.ts";
import type { Reply } from "./caller.ts";
import { type Field, type Ground, prepareGround, startField } from "./ground.ts";
import { type Sending, ask, checkArrivals, codeOf, falRequestId, job, jobOf, run, submitJob, toBytes } from "./row.ts";

const elsewhere: Readonly<Record<string, string>> = {
  A13: "ids are sealed, so no store is asked who owns a job",
  A24: "there is no shared secret to send; seals are compared without an early exit, as seal.ts says",
};

let ground: Ground;

beforeAll(async () => {
  ground = await prepareGround();
});

afterAll(async () => {
  await ground.close();
  for (const [id, why] of Object.entries(elsewhere)) process.stdout.write(`${id}: does not apply, because ${why}\n`);
});

describe.each(mounts)("$name", (mount) => {
  let field: Field;

  beforeAll(async () => {
    field = await startField(ground, mount);
    await submitJob(field);
    ground.upstream.answer(always(200, { "content-type": "application/json" }, '{"ok":true}'));
  });

  afterAll(async () => {
    await field.mounted.close();
  });

  /** What came of one request, and how many requests it made. */
  async function asked(sending: Sending, given = field): Promise<{ reply: Reply | undefined; up: number }> {
    const before = ground.upstream.arrivals.length;
    const [reply] = await ask(given, sending);
    const arrivals = ground.upstream.arrivals.slice(before);
    checkArrivals(given, arrivals);
    return { reply, up: arrivals.length };
  }

  async function expectRefused(sending: Sending, status: number | readonly number[], given = field): Promise<Reply> {
    const { reply, up } = await asked(sending, given);
    expect([[status].flat().includes(reply?.status ?? 0), up], `${reply?.status} ${reply?.body.toString()}`).toEqual([
      true,
      0,
    ]);
    if (reply === undefined) throw new Error("no answer");
    return reply;
  }

  async function withOptions(options: Partial<KeywayOptions>, play: (given: Field) => Promise<void>): Promise<void> {
    const given = await startField(ground, mount, options);
    try {
      await play(given);
    } finally {
      await given.mounted.close();
    }
  }

  const anonymous = ["authorization"];
  const asBob = { without: ["authorization"], lines: ["authorization: Bearer bob"] };

  it("A01 nobody is signed in: 401, and nobody is let in unless it is stated", async () => {
    await expectRefused({ without: anonymous }, 401);
    expect(() => createKeyway({ endpoints: "any" } as unknown as KeywayOptions)).toThrow("authorize must be stated");
  });

  it("A02 authorize throws or rejects: 500", async () => {
    const thrower = (): never => {
      throw new Error("the session store is down");
    };
    const rejecter = (): Promise<never> => Promise.reject(new Error("the session store is down"));
    for (const authorize of [thrower, rejecter]) {
      await withOptions({ authorize }, async (given) => {
        expect(codeOf(await expectRefused({}, 500, given))).toBe("authorize_failed");
      });
    }
  });

  it("A03 authorize never answers: 500 in its time", async () => {
    const authorize = (): Promise<never> => new Promise(() => undefined);
    await withOptions({ authorize, timeouts: { authorize: 40 } }, async (given) => {
      expect(codeOf(await expectRefused({}, 500, given))).toBe("authorize_failed");
    });
  });

  it.each([["false"], [{}], [1], [true], [[]], [{ id: "" }], [{ id: 1 }], [{ user: "ada" }], [0], [""]])(
    "A04 authorize answers %j: 401",
    async (answer) => {
      await withOptions({ authorize: () => answer as never }, async (given) => {
        await expectRefused({}, 401, given);
      });
    },
  );

  it.each([
    ["A05", "GET", `${job}/status`],
    ["A06", "GET", job],
    ["A07", "PUT", `${job}/cancel`],
    ["A08", "GET", `${job}/status/stream`],
  ])("%s another caller asks about ada's job, %s %s: it does not exist", async (_id, method, target) => {
    const reply = await expectRefused({ ...asBob, method, target, body: null }, 404);
    const unknown = await expectRefused(
      { ...asBob, method, target: target.replace("{job}", "unknown"), body: null },
      404,
    );
    expect(reply.body).toEqual(unknown.body);
    expect(reply.headers.filter(([name]) => name.toLowerCase() !== "date")).toEqual(
      unknown.headers.filter(([name]) => name.toLowerCase() !== "date"),
    );
  });

  it("A09 an unknown job: 404", async () => {
    for (const id of ["x", falRequestId, `${falRequestId}.`, `${falRequestId}.${"A".repeat(22)}`]) {
      await expectRefused({ method: "GET", target: job.replace("{job}", id) }, 404);
    }
  });

  it("A10 dots and slashes behind a job's id: 400", async () => {
    for (const path of ["../OTHER/status", "..%2fOTHER", "%2e%2e/OTHER/status", "..;/status"]) {
      await expectRefused({ method: "GET", target: `${job}/${path}` }, 400);
    }
    await expectRefused({ method: "GET", target: `${job}%2fstatus` }, 400);
  });

  it("A11 a job's id spelled otherwise: 404 or 400", async () => {
    const own = jobOf(field);
    for (const id of [
      own.toUpperCase(),
      `${own}%20`,
      `${own}.`,
      own.slice(0, -1),
      `${own}A`,
      "a".repeat(5000),
      "a".repeat(10_240),
    ]) {
      await expectRefused({ method: "GET", target: job.replace("{job}", id) }, [400, 404]);
    }
  });

  it("A12 upstream names a status URL on another host: it is not followed, and leads nowhere", async () => {
    const url = "https://evil.example/status";
    ground.upstream.answer(
      always(
        200,
        { "content-type": "application/json" },
        JSON.stringify({ request_id: falRequestId, status_url: url, response_url: url, cancel_url: url }),
      ),
    );
    const byPath = await asked({ path: "{mount}/queue.fal.run/demo/echo", target: null });
    ground.upstream.answer(always(200, { "content-type": "application/json" }, '{"ok":true}'));
    expect(byPath.reply?.body.toString()).not.toContain("evil.example");
    await expectRefused({ method: "GET", target: url }, 400);
  });

  it("A14 interleaved requests of 50 callers: nobody reads another's", { timeout: 60_000 }, async () => {
    ground.upstream.answer(({ request, response }) =>
      respond(
        response,
        200,
        { "content-type": "application/json" },
        JSON.stringify({ tag: request.headers["x-fal-tags"] }),
      ),
    );
    const all = process.env["CI"] === undefined ? 500 : 2500;
    let next = 0;
    const callers = Array.from({ length: 50 }, async (_, caller) => {
      while (next < all) {
        const tag = `${caller}-${(next += 1)}`;
        const [reply] = await ask(field, {
          without: anonymous,
          lines: [`authorization: Bearer caller${caller}`, `x-fal-tags: ${tag}`],
        });
        expect(JSON.parse(reply?.body.toString() ?? "")).toEqual({ tag });
      }
    });
    await Promise.all(callers);
    ground.upstream.answer(always(200, { "content-type": "application/json" }, '{"ok":true}'));
  });

  const cookie = "cookie: session=ada";

  it("A15 a page of another site posts a form with the user's cookie: 403 or 415", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/json",
    ]) {
      const lines = [cookie, "origin: https://evil.example", "sec-fetch-site: cross-site", `content-type: ${type}`];
      await expectRefused({ without: [...anonymous, "content-type"], lines }, [403, 415]);
    }
    await expectRefused({ without: anonymous, lines: [cookie, "sec-fetch-site: same-site"] }, 403);
    await expectRefused({ without: anonymous, path: "{mount}/fal.run/demo/echo", target: null, lines: [cookie] }, 403);
  });

  it.each([
    "text/plain; application/json",
    "TEXT/PLAIN",
    "text/plain\t; charset=utf-8",
    "text/plain;charset=application/json",
  ])("A16 the same as %j: 415 or 403", async (type) => {
    await expectRefused(
      { without: [...anonymous, "content-type"], lines: [cookie, `content-type: ${type}`] },
      [403, 415],
    );
  });

  it("A17 origin null with a cookie: 403", async () => {
    await expectRefused({ without: anonymous, lines: [cookie, "origin: null"] }, 403);
    await expectRefused({ lines: ["origin: null"] }, 403);
  });

  it("A18 a session revoked during a stream: the stream ends visibly broken", async () => {
    let revoked = false;
    await withOptions({ authorize: () => (revoked ? null : { id: "ada" }), reauthorize: 20 }, async (given) => {
      ground.upstream.answer(
        ({ response }) => void response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
      );
      const line = await given.line();
      line.write(toBytes({ target: `${run}/stream` }, given));
      await line.body(9);
      revoked = true;
      const reply = await line.reply();
      expect([reply?.status, reply?.whole]).toEqual([200, false]);
    });
    ground.upstream.answer(always(200, { "content-type": "application/json" }, '{"ok":true}'));
  });

  it("A19 a token in the query: never forwarded, never logged", async () => {
    await expectRefused({ without: anonymous, path: "{mount}?access_token=canary-a19" }, 400);
    await expectRefused(
      { without: anonymous, path: "{mount}/fal.run/demo/echo?access_token=canary-a19", target: null },
      401,
    );
    await expectRefused({ target: `${run}?fal_jwt_token=canary-a19` }, 400);
    expect(ground.log.join("\n")).not.toContain("canary-a19");
  });

  it("A20 a framework's internal header lets nobody in: 401", async () => {
    await expectRefused(
      { without: anonymous, lines: ["x-middleware-subrequest: middleware:middleware:middleware"] },
      401,
    );
  });

  it.each([
    "{mount}/",
    "/{mount}",
    "{mount};x",
    mountPath.toUpperCase(),
    "/api/%2e/fal/proxy",
    "/api/fal/%70roxy",
    "/api/fal/x/../proxy",
    "{mount}%2f",
    "{mount}//",
  ])("A21 the mount spelled %s: as the plain one, or not found", async (path) => {
    await expectRefused({ without: anonymous, path }, [400, 401, 404]);
    const { reply, up } = await asked({ path });
    expect([200, 400, 404]).toContain(reply?.status);
    expect(up).toBe(reply?.status === 200 ? 1 : 0);
  });

  it("A22 headers that name another path change nothing", async () => {
    const lines = ["x-forwarded-uri: /public", "x-original-url: /public", "x-rewrite-url: /public"];
    await expectRefused({ without: anonymous, lines }, 401);
    expect(await asked({ lines })).toMatchObject({ up: 1, reply: { status: 200 } });
  });

  it("A23 forwarded addresses count only behind trusted hops", async () => {
    const addresses: (string | undefined)[] = [];
    const authorize = (context: AuthorizeContext): ReturnType<typeof byName> => {
      addresses.push(context.address);
      return byName(context);
    };
    const lines = ["x-forwarded-for: 6.6.6.6, 7.7.7.7", "x-forwarded-for: 8.8.8.8, 9.9.9.9", "forwarded: for=6.6.6.6"];
    for (const trustProxy of [0, 1, 2, 9])
      await withOptions({ authorize, trustProxy }, async (given) => void (await asked({ lines }, given)));
    const [own, ...behind] = addresses;
    expect(own).not.toMatch(/^[6-9]\./);
    expect(behind).toEqual(["9.9.9.9", "8.8.8.8", "6.6.6.6"]);
  });

  it("a caller who connects and says nothing keeps nobody out", async () => {
    const idle = Array.from({ length: 50 }, () => connect(field.port, "127.0.0.1").on("error", () => undefined));
    expect(await asked({})).toMatchObject({ up: 1, reply: { status: 200 } });
    for (const socket of idle) socket.destroy();
  });
});

it("the key was in no answer, and nothing died", () => {
  expect([ground.watch.sightings, ground.watch.count(ground.log.join("\n")), ground.deaths]).toEqual([0, 0, []]);
});
