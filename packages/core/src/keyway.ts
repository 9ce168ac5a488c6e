import { ProxyError, listErrors } from "./errors.ts";
import { type Reconciled, type ReconcileOptions, reconcile } from "./billing.ts";
import { type Finding, checkSettings } from "./check.ts";
import { jobKey, nameOf, readNote, settleOpenJobs } from "./job.ts";
import type { PlatformDigests } from "./digests.ts";
import type { Log } from "./observe.ts";
import { type KeywayOptions, type Settings, type Sockets, resolveOptions } from "./options.ts";
import type { Timeouts } from "./timeouts.ts";
import { plan } from "./plan.ts";
import { accountOfAll, accountOfCaller } from "./rules/account.ts";
import { type Caller, limitsOf } from "./rules/caller.ts";
import type { BudgetOption } from "./rules/limit-set.ts";
import { gateKey } from "./rules/limits.ts";
import type { Answer, Door, Exchange } from "./seam.ts";
import type { Soon } from "./soon.ts";
import type { Account } from "./store.ts";
import { hashOfCaller } from "./store-keys.ts";
import { answerRequest, answerWebhook } from "./web.ts";
import type { FetchContext } from "./web-door.ts";
import { settlePending } from "./webhooks/pending.ts";
import { receiveDelivery } from "./webhooks/receive.ts";

/** Money in the current period, in US dollars. */
export interface Usage {
  readonly spent: number;
  /** Set aside for calls that are not over. */
  readonly reserved: number;
  /** What may still be spent; undefined without a budget. */
  readonly left: number | undefined;
  /** The budget that this is about; undefined without one. */
  readonly budget: BudgetOption | undefined;
  /** When the period ends and counting starts anew: a day or month by the clock of UTC. */
  readonly until: Date;
}

/** A job as the server sees it. */
export interface OpenedJob {
  /** fal's own id, for talking to fal.ai directly. */
  readonly falRequestId: string;
  /** The caller's id as `authorize` gave it; undefined with `authorize: "public"`. */
  readonly caller: string | undefined;
  readonly endpoint: string;
}

/** What `submitFor` sends. */
export interface SubmitOptions {
  readonly input: unknown;
  /** Request headers that may cross, such as `x-fal-queue-priority`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One configured proxy. Frameworks' doors are made from it; it holds no key that could be printed. */
export interface Keyway {
  /** Answers a web-standard Request: for every host that speaks Request and Response. */
  readonly fetch: (request: Request, context?: FetchContext) => Promise<Response>;
  /**
   * Answers a webhook delivery of fal's: verified, ours, once; then `webhooks.onResult` is told. Needs the Request unread.
   *
   * @example export const POST = (request: Request) => keyway.webhook(request);
   */
  readonly webhook: (request: Request, context?: FetchContext) => Promise<Response>;
  /**
   * What a caller has spent and may still spend: the one that `authorize` gives, or his id where he has no limits of his own. Without
   * a caller: all together.
   */
  readonly usage: (caller?: string | Caller) => Promise<Usage>;
  /** Submits a job on the server in a caller's name: his rules, his money, his job. Answers the submit answer as he would get it. */
  readonly submitFor: (
    caller: Caller,
    endpoint: string,
    options: SubmitOptions,
  ) => Promise<{ request_id: string } & Record<string, unknown>>;
  /** What is behind a job id that a caller holds; null when it is not one of ours, or too old. */
  readonly openJob: (requestId: string) => Promise<OpenedJob | null>;
  /**
   * Reads the state of the oldest open jobs, charges those that are over, and tells `webhooks.onResult` of those whose webhook never
   * came: for a timer or cron. Answers how many were charged or told.
   */
  readonly settle: (most?: number) => Promise<number>;
  /** Puts charges right by fal's own billing events. */
  readonly reconcile: (options: ReconcileOptions) => Promise<Reconciled>;
  /** Refuses every spending call, in every process that shares the store, until `resume`. */
  readonly pause: () => Promise<void>;
  readonly resume: () => Promise<void>;
  /** Explains the effective configuration and what is dangerous in it. */
  readonly check: () => readonly Finding[];
  /** The name under which `observe` events and stores know a caller. */
  readonly callerHash: (callerId: string) => Promise<string>;
  /** For transports: decides about one request. Never rejects. */
  readonly plan: (door: Door) => Soon<Answer | Exchange>;
  /** For transports: answers a webhook delivery. Never rejects. */
  readonly receive: (door: Door) => Promise<Answer>;
  /** For transports: what they need of the settings. */
  readonly transport: {
    readonly publicPath: string | undefined;
    readonly production: boolean;
    readonly timeouts: Timeouts;
    readonly sockets: Sockets;
    readonly log: Log;
    /** Computes with these digests from now on: the platform's own are faster than WebCrypto's. */
    readonly useDigests: (digests: PlatformDigests) => void;
  };
  /** Stops timers and closes the store. */
  readonly close: () => Promise<void>;
}

const pausedFor = 365 * 24 * 3_600_000;

/**
 * Makes a proxy from options; throws one `invalid_option` error that shows the corrected line.
 *
 * @example
 * export const keyway = createKeyway({
 *   authorize: async ({ cookie }) => await userOfSession(cookie("session")),
 *   endpoints: ["fal-ai/flux/**"],
 *   publicUrl: process.env.PUBLIC_URL, // https://app.example/api/fal/proxy, in production
 * });
 */
export function createKeyway(options: KeywayOptions): Keyway {
  const settings = resolveOptions(options);
  const { production, timeouts, sockets, log, publicUrl, digests } = settings;
  return {
    fetch: (request, context = {}) => answerRequest(request, context, settings),
    webhook: (request, context = {}) => answerWebhook(request, context, settings),
    usage: (caller) => readUsage(typeof caller === "string" ? { id: caller } : caller, settings),
    submitFor: (caller, endpoint, submit) => submitFor(caller, endpoint, submit, settings),
    openJob: (requestId) => openJob(requestId, settings),
    async settle(most = 100) {
      const told = await settlePending(most, 0, settings);
      return told + (await settleOpenJobs((at) => accountOfAll(settings, at), most, settings));
    },
    reconcile: (given) => reconcile(given, settings),
    async pause() {
      const gate = await gateKey(settings);
      await settings.askStore((store) => store.put(gate, "paused", pausedFor));
    },
    async resume() {
      const gate = await gateKey(settings);
      await settings.askStore((store) => store.remove(gate));
    },
    check: () => checkSettings(settings),
    callerHash: async (callerId) => hashOfCaller(callerId, settings.hashes),
    plan: (door) => plan(door, settings),
    receive: (door) => receiveDelivery(door, settings),
    transport: Object.freeze({
      publicPath: publicUrl?.path,
      production,
      timeouts,
      sockets,
      log,
      useDigests: digests.use,
    }),
    async close() {
      settings.abandonment?.close();
      await settings.store.close();
    },
  };
}

async function readUsage(caller: Caller | undefined, settings: Settings): Promise<Usage> {
  const { budget } = caller === undefined ? settings.limits.global : limitsOf(caller.limits, settings);
  const account = caller === undefined ? await accountOfAll(settings) : await accountOf(caller, settings);
  const [balance] = await settings.askStore((store) => store.balances([account.key]));
  const { spent, reserved } = balance ?? { spent: 0, reserved: 0 };
  const left = account.limit === undefined ? undefined : Math.max(0, account.limit - spent - reserved) / 1e6;
  return { spent: spent / 1e6, reserved: reserved / 1e6, left, budget, until: new Date(account.until) };
}

async function accountOf({ id, limits }: Caller, settings: Settings): Promise<Account> {
  const hash = await hashOfCaller(id, settings.hashes);
  return accountOfCaller({ hash, limits: limitsOf(limits, settings) }, settings.now());
}

/** Goes the whole way of a caller's request, with the caller given instead of asked for. */
async function submitFor(
  caller: Caller,
  endpoint: string,
  { input, headers }: SubmitOptions,
  settings: Settings,
): Promise<{ request_id: string } & Record<string, unknown>> {
  const request = new Request(settings.publicUrl?.href ?? "http://localhost/", {
    method: "POST",
    headers: {
      ...headers,
      "content-type": "application/json",
      "x-fal-target-url": `https://queue.fal.run/${endpoint}`,
    },
    body: JSON.stringify(input),
  });
  const ownership = settings.authorize === "public" ? "app" : settings.ownership;
  // The app waits for it, whoever asks about it or not.
  const asCaller = Object.freeze({ ...settings, ownership, abandonment: undefined, authorize: () => caller });
  const response = await answerRequest(request, {}, asCaller);
  const body: unknown = await response.json().catch(() => null);
  const fields: Record<string, unknown> = typeof body === "object" && body !== null ? { ...body } : {};
  const { request_id: requestId, message, code } = fields;
  if (response.ok && typeof requestId === "string") return { ...fields, request_id: requestId };
  const ours = listErrors().find((refusal) => refusal.code === code)?.code;
  throw new ProxyError(ours ?? "upstream_invalid", {
    status: response.status,
    message: typeof message === "string" ? message : `The submit was answered with status ${response.status}.`,
  });
}

async function openJob(requestId: string, settings: Settings): Promise<OpenedJob | null> {
  const at = requestId.lastIndexOf(".");
  for (const raw of at > 0 ? [requestId.slice(0, at), requestId] : [requestId]) {
    const key = await jobKey(raw, settings);
    const note = readNote(await settings.askStore((store) => store.get(key)));
    if (note === undefined) continue;
    if (raw !== requestId) {
      const opened = await settings.sealer.open(requestId, { caller: note.caller, app: note.app });
      if (opened !== raw) return null;
    }
    return { falRequestId: raw, caller: nameOf(note), endpoint: note.endpoint };
  }
  return null;
}

/** Takes an instance as it is, and makes one from options. */
export function toKeyway(input: Keyway | KeywayOptions): Keyway {
  return "plan" in input && typeof input.plan === "function" ? input : createKeyway(input as KeywayOptions);
}
