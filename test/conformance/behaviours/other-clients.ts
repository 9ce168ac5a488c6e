import { type Emulator, createEmulator } from "@keyway/emulator";
import { describe, expect, it, onTestFinished } from "vitest";
import { type HeaderLine, type Received, send, valueIn } from "../../wire.ts";
import type { Mount, Mounted } from "../mount.ts";

const sealed = /^[0-9a-f-]{36}\.[\w-]{22}$/;
const input = '{"prompt":"é"}';

/** How a client writes a request, as its source has it; `target` is the URL on fal's host that it means. */
interface Client {
  readonly name: string;
  readonly headers: (target: string, hasBody: boolean) => HeaderLine[];
  /** The query of its status calls; null for none. */
  readonly logs: string | null;
}

/** fal-swift 0.1.0 on URLSession: in proxy mode the query of a GET is lost. */
const swift: Client = {
  name: "Swift",
  headers: (target) => [
    ["accept", "application/json"],
    ["content-type", "application/json"],
    ["user-agent", "fal.ai/swift-client 0.1.0 - Version 17.4 (Build 21E213)"],
    ["authorization", "Key ada"],
    ["x-fal-target-url", target],
    ["accept-language", "en-US,en;q=0.9"],
    ["accept-encoding", "gzip, deflate, br"],
    ["connection", "keep-alive"],
  ],
  logs: null,
};

/** fal-java, of Java and Kotlin, on OkHttp. */
const kotlin: Client = {
  name: "Kotlin",
  headers: (target, hasBody) => [
    ["accept", "application/json"],
    ["Authorization", "Key ada"],
    ["X-Fal-Target-Url", target],
    ["content-type", hasBody ? "application/json; charset=utf-8" : "application/json"],
    ["Connection", "Keep-Alive"],
    ["Accept-Encoding", "gzip"],
    ["User-Agent", "okhttp/4.12.0"],
  ],
  logs: "logs=1",
};

/** fal-dart on package:http. */
const dart: Client = {
  name: "Dart",
  headers: (target) => [
    ["user-agent", "fal-client/0.3.0 - ios"],
    ["accept", "application/json"],
    ["accept-encoding", "gzip"],
    ["authorization", "Key ada"],
    ["content-type", "application/json; charset=utf-8"],
    ["x-fal-target-url", target],
  ],
  logs: "logs=0",
};

interface Ground {
  readonly emulator: Emulator;
  readonly call: (client: Client, method: string, target: string, body?: string) => Promise<Received>;
  readonly mounted: Mounted;
}

async function startGround(mount: Mount): Promise<Ground> {
  const emulator = createEmulator({ timeScale: 0, queuedMs: 0 });
  const { url } = await emulator.listen();
  const mounted = await mount.startMount({
    authorize: ({ headers }) => (headers.get("authorization") === "Key ada" ? { id: "ada" } : null),
    endpoints: { "demo/**": { realtime: "token" } },
    upstream: { url, key: "emulator" },
  });
  onTestFinished(async () => {
    await mounted.close();
    await emulator.close();
  });
  return {
    emulator,
    mounted,
    call: ({ headers }, method, target, body) =>
      send(mounted.url, {
        method,
        headers: headers(target, body !== undefined),
        ...(body === undefined ? {} : { body }),
      }),
  };
}

/** What the official clients of other languages send; their own code does not run here. */
export function otherClients(mount: Mount): void {
  describe("other clients", () => {
    it.each([swift, kotlin, dart])("$name: run", async (client) => {
      const { emulator, call } = await startGround(mount);
      const answer = await call(client, "POST", "https://fal.run/demo/echo", input);
      expect([answer.status, answer.body.toString()]).toEqual([200, input]);
      expect(valueIn(answer.headers, "x-fal-request-id")).toBeDefined();
      const sent = new Map(emulator.calls[0]?.headers.map(([name, value]) => [name.toLowerCase(), value]));
      expect(sent.get("authorization")).toBe("Key emulator");
      expect(sent.get("content-type")).toBe(valueIn(client.headers("", true), "content-type"));
      expect(sent.has("x-fal-target-url")).toBe(false);
    });

    it.each([swift, kotlin, dart])("$name: a run without input", async (client) => {
      const { call } = await startGround(mount);
      const answer = await call(client, "POST", "https://fal.run/demo/echo", "");
      expect([answer.status, answer.body.toString()]).toEqual([200, "{}"]);
    });

    it.each([swift, dart])("$name: submit, status until completed, result", async (client) => {
      const { call } = await startGround(mount);
      const job = await submit(client, call);
      const query = client.logs === null ? "" : `?${client.logs}`;
      await expect
        .poll(async () => read(await call(client, "GET", `${job}/status${query}`)))
        .toMatchObject({ status: "COMPLETED", response_url: job, logs: null });
      const result = await call(client, "GET", job);
      expect([result.status, result.body.toString()]).toEqual([200, input]);
    });

    it("Kotlin: submit, status by event stream, result", async () => {
      const { mounted, call } = await startGround(mount);
      const job = await submit(kotlin, call);
      const headers = kotlin.headers(`${job}/status/stream?${kotlin.logs}`, false);
      const accepts: HeaderLine[] = [
        ["accept", "application/json"],
        ["accept", "text/event-stream"],
      ];
      const { status, body } = await send(mounted.url, {
        headers: [...accepts, ...headers.filter(([name]) => name !== "accept")],
      });
      expect(status).toBe(200);
      const last = body.toString().trim().split("\n\n").at(-1) ?? "";
      expect(JSON.parse(last.replace(/^data: /, ""))).toMatchObject({ status: "COMPLETED", response_url: job });
      expect((await call(kotlin, "GET", job)).body.toString()).toBe(input);
      expect(read(await call(kotlin, "GET", `${job}/status`))).toMatchObject({ status: "COMPLETED" });
    });

    it("Swift: a token for realtime", async () => {
      const { call } = await startGround(mount);
      const asked = '{"allowed_apps":["realtime"],"token_expiration":300}';
      const answer = await call(swift, "POST", "https://rest.alpha.fal.ai/tokens/", asked);
      expect([answer.status, typeof JSON.parse(answer.body.toString())]).toEqual([200, "string"]);
    });

    it("Dart: an upload", async () => {
      const { call } = await startGround(mount);
      const asked = '{"file_name":"a.png","content_type":"image/png"}';
      const place = read(await call(dart, "POST", "https://rest.alpha.fal.ai/storage/upload/initiate", asked));
      expect(place).toMatchObject({ upload_url: expect.stringContaining("a.png"), file_url: expect.any(String) });
    });
  });
}

/** Submits; answers the job's URL, on fal's host and with an id of the caller's own. */
async function submit(client: Client, call: Ground["call"]): Promise<string> {
  const submitted = read(await call(client, "POST", "https://queue.fal.run/demo/echo/fast", input));
  const { request_id: id, response_url: job } = submitted as { readonly request_id: string; response_url: string };
  expect(id).toMatch(sealed);
  expect(job).toBe(`https://queue.fal.run/demo/echo/requests/${id}`);
  return job;
}

function read({ body }: Received): unknown {
  return JSON.parse(body.toString());
}
