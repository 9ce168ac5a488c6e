import type { Call, Kind } from "../call.ts";
import { ProxyError } from "../errors.ts";
import type { Settings } from "../options.ts";
import type { Recent } from "../recent.ts";
import type { Door } from "../seam.ts";
import { type Soon, andThen, isPending } from "../soon.ts";
import { hashOfCaller, storeKey } from "../store-keys.ts";
import { within } from "../within.ts";
import { addressOf, bucketOf } from "./address.ts";
import { createContext } from "./authorize-context.ts";
import { withDefaults } from "../with-defaults.ts";
import { type LimitSet, whyNotLimits } from "./limit-set.ts";

/** Who calls, as the app knows him. `id` is any stable, unique string: a user id. */
export interface Caller {
  readonly id: string;
  /** A second name that limits and budgets count by as well, such as an address or a team: {@link LimitsOption.caller} holds for each. */
  readonly group?: string;
  /**
   * Limits of this caller's own, such as those of the plan he pays for: what is stated takes the place of the same field of
   * {@link LimitsOption.caller}, for his group too. With a budget, what has no price is refused.
   */
  readonly limits?: LimitSet | undefined;
  /** A `set-cookie` value to send with the answer. */
  readonly setCookie?: string;
}

/** What is asked for: one of fal's calls, or the list of the caller's own jobs, which names no endpoint. */
export type AskedCall = Pick<Call, "method" | "host" | "endpoint" | "app"> & { readonly kind: Kind | "jobs" };

/** What `authorize` is asked with. */
export interface AuthorizeContext {
  readonly call: AskedCall;
  /** The caller's request headers, `authorization` and `cookie` among them. Made when they are read; a copy by spreading has none. */
  readonly headers: Headers;
  /** One cookie's value, percent-decoded. */
  readonly cookie: (name: string) => string | undefined;
  /** The caller's address, behind `trustProxy` hops. */
  readonly address: string | undefined;
  /** Whether callers reach the app over https: by `publicUrl`, else as this process sees it. */
  readonly secure: boolean;
  /** The app's own origin, where it is known: see `publicUrl`. */
  readonly ownOrigin: string | undefined;
  /** The framework's request; undefined on WebSocket upgrades and in plain web handlers. */
  readonly native: unknown;
}

/** A caller, or nobody (401), or a refusal with a message that the caller may read (403, or the status given). */
export type Authorization =
  | Caller
  | null
  | undefined
  | false
  | { readonly deny: true; readonly message?: string; readonly status?: 401 | 403 };

/** Decides who calls. Asked once per call, and every 60 s for open streams and sockets. */
export type Authorize = (context: AuthorizeContext) => Authorization | Promise<Authorization>;

/** A caller who passed. */
export interface KnownCaller {
  readonly id: string;
  /** A hash of the id under the namespace: what stores, events and logs see. */
  readonly hash: string;
  /** With `authorize: "public"`: nobody in particular, counted by address. */
  readonly isPublic: boolean;
  /** Hash of the second name to count by. */
  readonly group: string | undefined;
  /** What he may do: his own limits, and the app's where he has none. */
  readonly limits: LimitSet;
  /** Where the list of his jobs stands. */
  readonly jobs: string;
  /** Where his submits stand whose answers he did not get. */
  readonly replays: string;
}

/** Callers with the app's limits who called lately, and the name of their group. */
export type KnownCallers = Recent<{ readonly caller: KnownCaller; readonly group: string | undefined }>;

/** A caller, and what his answer has to carry. */
export interface Identified {
  readonly caller: KnownCaller;
  readonly setCookie: string | undefined;
}

/** What the app is asked with. */
export type Asker = Pick<Door, "head" | "native">;

/** Asks the app who calls. Whatever is not clearly yes is no. */
export function identifyCaller(door: Asker, call: AskedCall, settings: Settings): Soon<Identified> {
  const address = addressOf(door.head, settings.trustProxy);
  if (settings.authorize === "public")
    return andThen(toKnown({ id: bucketOf(address) }, true, settings), (caller) => ({ caller, setCookie: undefined }));
  const asked = ask(settings.authorize, createContext(door, call, address, settings));
  const answer = isPending(asked) ? inTime(asked, settings.timeouts.authorize) : asked;
  return andThen(answer, (given) => identify(given, settings));
}

function identify(answer: Authorization, settings: Settings): Soon<Identified> {
  if (answer === null || answer === undefined || answer === false) throw new ProxyError("unauthorized");
  if (typeof answer === "object" && "deny" in answer) {
    const message = typeof answer.message === "string" ? { message: answer.message.slice(0, 500) } : {};
    throw new ProxyError(answer.status === 401 ? "unauthorized" : "denied", message);
  }
  if (typeof answer !== "object" || typeof answer.id !== "string" || answer.id === "") {
    throw new ProxyError("unauthorized", {
      log: 'authorize must return { id: "…" }, null, or { deny: true, message }; something else was taken as no',
    });
  }
  const { setCookie } = answer;
  if (setCookie !== undefined && !(typeof setCookie === "string" && fieldSyntax.test(setCookie)))
    settings.log.error("authorize gave a setCookie that is no header value, so it was not sent");
  const cookie = typeof setCookie === "string" && fieldSyntax.test(setCookie) ? setCookie : undefined;
  return andThen(toKnown(answer, false, settings), (caller) => ({ caller, setCookie: cookie }));
}

/** A header value (RFC 9110, section 5.5), without what a line break would add. */
const fieldSyntax = /^[\t\x20-\x7e]+$/;

function ask(authorize: Authorize, context: AuthorizeContext): Soon<Authorization> {
  try {
    return authorize(context);
  } catch (cause) {
    throw authorizeFailed(cause);
  }
}

async function inTime(answer: Promise<Authorization>, ms: number): Promise<Authorization> {
  try {
    return await within(answer, ms, () => new Error(`authorize did not answer within ${ms} ms`));
  } catch (cause) {
    throw authorizeFailed(cause);
  }
}

function authorizeFailed(cause: unknown): ProxyError {
  return new ProxyError("authorize_failed", { cause, log: "authorize failed, so the call was refused" });
}

function toKnown(given: Caller, isPublic: boolean, settings: Settings): Soon<KnownCaller> {
  const { id, group, limits } = given;
  if (limits !== undefined) return makeKnown(given, isPublic, settings);
  const known = settings.callers.get(id);
  if (known !== undefined && known.group === group && known.caller.isPublic === isPublic) return known.caller;
  return andThen(makeKnown(given, isPublic, settings), (caller) => {
    if (id.length <= longestKept) settings.callers.set(id, { caller, group });
    return caller;
  });
}

const longestKept = 200;

function makeKnown({ id, group, limits }: Caller, isPublic: boolean, settings: Settings): Soon<KnownCaller> {
  const { hashes } = settings;
  const named = typeof group === "string" && group !== "" ? hashes.of(`group ${group}`) : undefined;
  return andThen(hashOfCaller(id, hashes), (hash) =>
    andThen(named, (groupHash) => ({
      id,
      hash,
      isPublic,
      group: groupHash,
      limits: limitsOf(limits, settings),
      jobs: storeKey("jobs-of", hash),
      replays: storeKey("replay", hash),
    })),
  );
}

/** What a caller may do; limits that are none are refused rather than read as none. */
export function limitsOf(limits: LimitSet | undefined, settings: Settings): LimitSet {
  if (limits === undefined) return settings.limits.caller;
  const why = whyNotLimits("limits", limits);
  if (why !== undefined)
    throw new ProxyError("authorize_failed", { log: `a caller was given limits that are none: ${why}` });
  return withDefaults(limits, settings.limits.caller);
}
