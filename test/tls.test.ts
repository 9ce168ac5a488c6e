import { once } from "node:events";
import { request } from "node:http";
import { createKeyway } from "@keyway/core";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createAuthority, selfSigned } from "./certificates.ts";
import type { Mount } from "./conformance/mount.ts";
import { mounts } from "./conformance/mounts/all.ts";
import { type Stage, byName, codeOf, job, run, stage } from "./conformance/stage.ts";
import { type Led, redirectFal } from "./redirect.ts";
import { type Certificate, type Upstream, startUpstream } from "./upstream.ts";
import { answerTo } from "./wire.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();

const falKey = "tls-key-id:tls-key-secret";
const hosts = ["fal.run", "queue.fal.run", "rest.fal.ai"];
const authority = createAuthority();

/** A mount on default settings, with FAL_KEY, whose fal.ai is a TLS server of this process. */
async function tlsStage(
  mount: Mount,
  certificate: Certificate,
): Promise<Stage & { fal: Upstream; led: readonly Led[] }> {
  const fal = await startUpstream(certificate);
  const { led, restore } = redirectFal(fal.port, authority.cert);
  vi.stubEnv("FAL_KEY", falKey);
  onTestFinished(() => {
    restore();
    vi.unstubAllEnvs();
  });
  const staged = await stage(mount, { upstream: undefined, ownership: "app" }, fal);
  return { ...staged, fal, led };
}

/** TLS 1.0, and nothing newer. */
const old = { minVersion: "TLSv1", maxVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } as const;

const refused: readonly (readonly [name: string, certificate: () => Certificate, code: RegExp])[] = [
  ["a wrong name", () => authority.issue(["fal.run.evil.example", "evil.example"]), /ALTNAME/],
  ["no name", () => authority.issue([]), /ALTNAME/],
  ["a name one level up", () => authority.issue(["run"]), /ALTNAME/],
  ["an expired certificate", () => authority.issue(hosts, { from: -48, until: -24 }), /EXPIRED/],
  ["one that is not valid yet", () => authority.issue(hosts, { from: 24, until: 48 }), /NOT_YET_VALID/],
  ["a self-signed certificate", () => selfSigned(hosts), /SELF_SIGNED|UNABLE_TO/],
  ["TLS 1.0 alone", () => ({ ...authority.issue(hosts), ...old }), /PROTOCOL|VERSION/i],
  ["a stranger's authority", () => createAuthority().issue(hosts), /UNABLE_TO|SELF_SIGNED|SIGNATURE/],
];

describe.each(mounts.map((mount) => [mount.name, mount] as const))("upstream TLS, %s", (_name, mount) => {
  it("fal's own hosts on 443, by their names, with the key of the environment", async () => {
    const { fal, led, ask } = await tlsStage(mount, authority.issue(hosts));
    expect((await ask(run)).status).toBe(200);
    expect((await ask(`${job}/status`, { method: "GET" })).status).toBe(200);
    expect(led.map(({ host, port, servername }) => [host, port, servername ?? host])).toEqual([
      ["fal.run", 443, "fal.run"],
      ["queue.fal.run", 443, "queue.fal.run"],
    ]);
    expect(
      fal.arrivals.map((arrival) => [arrival.values("host"), arrival.url, arrival.values("authorization")]),
    ).toEqual([
      [["fal.run"], "/demo/echo", [`Key ${falKey}`]],
      [["queue.fal.run"], new URL(`${job}/status`).pathname, [`Key ${falKey}`]],
    ]);
    expect(led.every(({ socket }) => socket.authorized)).toBe(true);
  });

  it.each(refused)("F05 %s is refused before a byte of the request is sent: 502", async (_which, certificate, code) => {
    const { fal, led, log, ask } = await tlsStage(mount, certificate());
    for (const [target, method] of [
      [run, "POST"],
      [`${job}/status`, "GET"],
      [`${job}/cancel`, "PUT"],
    ] as const) {
      const answer = await ask(target, { method });
      expect([answer.status, codeOf(answer)]).toEqual([502, "upstream_unreachable"]);
      expect(answer.body.toString()).not.toMatch(/cert|tls|127\.0/i);
    }
    expect(fal.arrivals).toHaveLength(0);
    expect(led.length).toBeGreaterThan(0);
    expect(led.every(({ rejectUnauthorized }) => rejectUnauthorized !== false)).toBe(true);
    expect(log.join("\n")).toMatch(code);
    expect(log.join("\n")).not.toContain("tls-key-secret");
  });

  it("NODE_TLS_REJECT_UNAUTHORIZED=0 is refused in production, and said aloud in development", async () => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    const { fal, log, ask } = await tlsStage(mount, selfSigned(hosts));
    expect(log.join("\n")).toContain("NODE_TLS_REJECT_UNAUTHORIZED=0");
    // what Node's own transport dials is checked all the same
    if (mount.transport === "node") expect([(await ask(run)).status, fal.arrivals.length]).toEqual([502, 0]);
    vi.stubEnv("NODE_ENV", "production");
    expect(() => createKeyway({ authorize: byName, endpoints: "any" })).toThrow(/NODE_TLS_REJECT_UNAUTHORIZED=0/);
  });
});

describe.each(mounts.filter(({ noSockets }) => noSockets === undefined).map((mount) => [mount.name, mount] as const))(
  "upstream TLS of WebSockets, %s",
  (_name, mount) => {
    const realtime = "https://fal.run/demo/echo/realtime";

    it("a right certificate opens", async () => {
      const { fal, led, path } = await tlsStage(mount, authority.issue(hosts));
      fal.upgrade((incoming, socket, head) => {
        new WebSocketServer({ noServer: true }).handleUpgrade(incoming, socket, head, (far) =>
          far.send(String(incoming.headers.authorization)),
        );
      });
      const socket = new WebSocket(path(realtime).replace("http:", "ws:"), {
        headers: { authorization: "Bearer ada" },
      });
      const [data] = (await once(socket, "message")) as [Buffer];
      expect(data.toString()).toBe(`Key ${falKey}`);
      expect(led.map(({ host, port, socket: secure }) => [host, port, secure.authorized])).toEqual([
        ["fal.run", 443, true],
      ]);
      socket.terminate();
    });

    it.each(refused)("F05 %s is refused before the handshake: 502", async (_which, certificate) => {
      const { fal, path } = await tlsStage(mount, certificate());
      let handshakes = 0;
      fal.upgrade(() => (handshakes += 1));
      const headers = {
        authorization: "Bearer ada",
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      };
      const sent = request(path(realtime), { agent: false, headers }).end();
      const answer = await answerTo(sent);
      answer.resume();
      expect([answer.statusCode, handshakes]).toEqual([502, 0]);
    });
  },
);
