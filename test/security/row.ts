import type { KeywayOptions } from "@keyway/core";
import type { TLSSocket } from "node:tls";
import { expect } from "vitest";
import { mountPath } from "../conformance/mount.ts";
import { type Arrival, type Script, always } from "../upstream.ts";
import type { Reply } from "./caller.ts";
import { type Field, falHosts, startField } from "./ground.ts";

/** One row of the table: what goes in, what upstream does, what must come out. */
export interface Row {
  readonly what: string;
  readonly send: Sending;
  /** How upstream answers; `200 {"ok":true}` where nothing is said. */
  readonly upstream?: Script;
  readonly options?: Partial<KeywayOptions>;
  readonly expect: Expected;
}

/** A row that one request and one answer cannot tell. */
export interface Play {
  readonly what: string;
  readonly options?: Partial<KeywayOptions>;
  play(field: Field): Promise<void>;
}

/** A POST of `{}` by `ada` in header form, unless it says otherwise. */
export interface Sending {
  readonly method?: string;
  /** The value of x-fal-target-url; null for none. `{job}` stands for ada's job. */
  readonly target?: string | null;
  /** The request target in place of the mount path; `{mount}` stands for that. */
  readonly path?: string;
  /** Header lines as they go out, after the usual ones. */
  readonly lines?: readonly string[];
  /** Usual lines to leave out, by name. */
  readonly without?: readonly string[];
  readonly body?: string | Buffer | null;
  /** The whole request in place of the above; `{head}` stands for request line, host, bearer, target and type, without the empty line. */
  readonly raw?: string | Buffer;
}

/** `closed`: the connection was closed without an answer. */
type Status = number | "closed";

export interface Expected {
  readonly status: Status | readonly Status[];
  readonly code?: string;
  /** How many requests reached upstream. */
  readonly up: number | readonly number[];
  /** What the only request upstream was like: header values, null for absent. */
  readonly saw?: Sight;
  /** What the caller got. */
  readonly got?: Sight & { readonly whole?: boolean };
}

interface Sight {
  /** `https://<host><path>` as upstream saw it. */
  readonly url?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: string | Buffer;
}

export const run = "https://fal.run/demo/echo";
export const job = "https://queue.fal.run/demo/echo/requests/{job}";
export const falRequestId = "019e161b-386c-7d33-8e2f-0123456789ab";

/** Plays one row against a mount and holds what came of it against the table. */
export async function playRow(row: Row | Play, shared: Field): Promise<void> {
  const { ground, mount } = shared;
  const field = row.options === undefined ? shared : await startField(ground, mount, row.options);
  const before = ground.upstream.arrivals.length;
  try {
    if ("play" in row) await row.play(field);
    else {
      ground.upstream.answer(row.upstream ?? always(200, { "content-type": "application/json" }, '{"ok":true}'));
      check(row, await ask(field, row.send), ground.upstream.arrivals.slice(before));
    }
    checkArrivals(field, ground.upstream.arrivals.slice(before));
  } finally {
    if (field !== shared) await field.mounted.close();
  }
}

/** Sends what a row says and waits for all answers. */
export async function ask(field: Field, sending: Sending): Promise<Reply[]> {
  const line = await field.line(sending.method);
  line.write(toBytes(sending, field));
  if (sending.raw !== undefined) return line.replies(120);
  const reply = await line.reply();
  line.leave();
  return reply === undefined ? [] : [reply];
}

/** The request's bytes. */
export function toBytes(sending: Sending, field: Field): Buffer {
  const { method = "POST", target = run, path = "{mount}", lines = [], without = [], body } = sending;
  const carries = body !== null && method !== "GET" && method !== "HEAD";
  const bytes = Buffer.from(body ?? "{}");
  const own = jobs.get(field.ground.key) ?? "";
  const usual = [
    `host: 127.0.0.1:${field.port}`,
    "authorization: Bearer ada",
    ...(target === null ? [] : [`x-fal-target-url: ${target.replace("{job}", own)}`]),
    ...(carries ? ["content-type: application/json"] : []),
    ...(carries && sending.raw === undefined ? [`content-length: ${bytes.length}`] : []),
  ].filter((line) => !without.includes(line.slice(0, line.indexOf(":"))));
  const first = `${method} ${path.replace("{mount}", mountPath).replace("{job}", own)} HTTP/1.1`;
  const head = [first, ...usual, ...lines].join("\r\n");
  if (Buffer.isBuffer(sending.raw)) return sending.raw;
  if (sending.raw !== undefined)
    return Buffer.from(sending.raw.replaceAll("{head}", head).replaceAll("{mount}", mountPath), "latin1");
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, "latin1"), carries ? bytes : Buffer.alloc(0)]);
}

/** Ada's name for the job {@link falRequestId}, by key. */
const jobs = new Map<string, string>();

/** Submits ada's job, so that rows can ask about it. */
export async function submitJob(field: Field): Promise<void> {
  const { ground } = field;
  ground.upstream.answer(
    always(200, { "content-type": "application/json" }, JSON.stringify({ request_id: falRequestId })),
  );
  const [reply] = await ask(field, { target: "https://queue.fal.run/demo/echo" });
  const { request_id: id }: { request_id: string } = JSON.parse(reply?.body.toString() ?? "{}");
  expect(id).not.toBe(falRequestId);
  jobs.set(ground.key, id);
}

export function jobOf(field: Field): string {
  return jobs.get(field.ground.key) ?? "";
}

function check({ expect: expected }: Row, replies: readonly Reply[], arrivals: readonly Arrival[]): void {
  const [reply] = replies;
  const status: Status = reply?.status ?? "closed";
  expect([expected.status].flat(), reply?.body.toString().slice(0, 300)).toContain(status);
  expect([expected.up].flat(), arrivals.map(({ method, url }) => `${method} ${url}`).join(", ")).toContain(
    arrivals.length,
  );
  if (expected.code !== undefined) expect(codeOf(reply)).toBe(expected.code);
  const [arrival] = arrivals;
  if (expected.saw !== undefined && arrival !== undefined) checkSight(expected.saw, sightOf(arrival));
  if (expected.got !== undefined && reply !== undefined) {
    checkSight(expected.got, { ...reply, values: (name) => valuesOf(reply, name) });
    expect(reply.whole, "the answer is whole").toBe(expected.got.whole ?? true);
  }
}

interface Seen {
  readonly url?: string;
  readonly method?: string;
  readonly body: Buffer;
  values(name: string): string[];
}

function sightOf(arrival: Arrival): Seen {
  const [host] = arrival.values("host");
  return {
    url: `https://${host}${arrival.url}`,
    method: arrival.method,
    body: Buffer.concat(arrival.received),
    values: arrival.values,
  };
}

function checkSight(expected: Sight, seen: Seen): void {
  // fetch of Node 22 drops a query that is empty.
  if (expected.url !== undefined) expect(seen.url?.replace(/\?$/, "")).toBe(expected.url.replace(/\?$/, ""));
  if (expected.method !== undefined) expect(seen.method).toBe(expected.method);
  if (expected.body !== undefined)
    expect(seen.body.equals(Buffer.from(expected.body)), seen.body.subarray(0, 200).toString()).toBe(true);
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    expect(seen.values(name), name).toEqual(value === null ? [] : [value]);
  }
}

export function codeOf(reply: Reply | undefined): unknown {
  return (JSON.parse(reply?.body.toString() ?? "{}") as { code?: unknown }).code;
}

export function valuesOf({ headers }: Pick<Reply, "headers">, name: string): string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** The documented list, what frames a message, and what fetch adds of itself. */
const mayCross: ReadonlySet<string> = new Set([
  "accept",
  "content-type",
  "content-length",
  "user-agent",
  "last-event-id",
  "x-fal-queue-priority",
  "x-fal-runner-hint",
  "x-fal-request-timeout",
  "x-fal-no-retry",
  "x-fal-retry-config",
  "x-fal-store-io",
  "x-fal-object-lifecycle",
  "x-fal-object-lifecycle-preference",
  "x-fal-tags",
  "x-app-fal-disable-fallback",
  "host",
  "connection",
  "transfer-encoding",
  "authorization",
  "accept-encoding",
]);
const fetchAdds: ReadonlySet<string> = new Set(["accept-language", "sec-fetch-mode"]);

/** Holds for every request that ever reached upstream, whatever the row was about. */
export function checkArrivals({ ground, mount }: Pick<Field, "ground" | "mount">, arrivals: readonly Arrival[]): void {
  for (const arrival of arrivals) {
    expect(arrival.values("authorization")).toEqual([`Key ${ground.key}`]);
    expect(arrival.values("host")).toEqual([(arrival.socket as TLSSocket).servername]);
    expect(falHosts).toContain(arrival.values("host")[0]);
    expect(arrival.url).not.toContain("smuggled");
    const elsewhere = [
      arrival.url,
      ...arrival.headers.filter(([name]) => name.toLowerCase() !== "authorization").flat(),
    ].join("\n");
    expect(ground.watch.count(elsewhere), "the key stands in one header only").toBe(0);
    const names = arrival.headers.map(([name]) => name.toLowerCase());
    const odd = names.filter((name) => !mayCross.has(name) && !(mount.transport === "web" && fetchAdds.has(name)));
    expect(odd, "only documented headers cross").toEqual([]);
  }
  expect(ground.hosts.strays, "nothing else is dialled").toEqual([]);
}
