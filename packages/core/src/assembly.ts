import { resolveKey } from "./api-key.ts";
import type { Decided, Seen } from "./admission.ts";
import { ProxyError } from "./errors.ts";
import { type AdmittedCall, createExchange } from "./exchange.ts";
import { type HeaderList, valueOf } from "./head.ts";
import { whileHeld } from "./lease-keeper.ts";
import { type JobOrigin, settleHold } from "./job.ts";
import type { Settings } from "./options.ts";
import type { Grant } from "./rules/limits.ts";
import { ownsJobs } from "./rules/ownership.ts";
import type { Price } from "./rules/price.ts";
import type { Exchange } from "./seam.ts";
import { type Soon, andThen, orElse } from "./soon.ts";
import type { Hold } from "./store.ts";
import { sweepPending } from "./webhooks/pending.ts";
import { type Subscribed, subscribe } from "./webhooks/submit.ts";

/** Submits up to this many bytes can be recognised when they are repeated. */
const smallBody = 64 * 1024;

/** The exchange; what it holds is given back where it comes to none. */
export function exchangeFor(
  decided: Decided,
  price: Price | undefined,
  seen: Seen,
  { hold }: Grant,
  more: HeaderList,
): Soon<Exchange> {
  const { call, caller, settings } = decided;
  return orElse(
    () =>
      andThen(call.kind === "submit" ? whileHeld(hold, settings, smallBodyOf(decided, seen)) : seen, ({ body }) =>
        andThen(resolveKey(settings.apiKey, caller), (apiKey) =>
          andThen(originate(decided), ({ query, origin, delivers }) =>
            assemble(decided, { body, apiKey, hold, price, more, query, origin, delivers }),
          ),
        ),
      ),
    (error) => giveBack(hold, error, settings),
  );
}

async function giveBack(hold: Hold | undefined, error: unknown, settings: Settings): Promise<never> {
  if (hold !== undefined) await settleHold({ hold: hold.id }, "release", settings);
  throw error;
}

type Gathered = Pick<AdmittedCall, "body" | "apiKey" | "hold" | "price" | "more"> & Originated;

function assemble(decided: Decided, gathered: Gathered): Exchange {
  const { door, settings, trace, call, caller, falRequestId, form, base } = decided;
  const { body, apiKey, hold, price, more, query, origin, delivers } = gathered;
  if (door.isGone()) throw new ProxyError("body_incomplete", { message: "The caller left." });
  const job = falRequestId === undefined ? undefined : { from: falRequestId, to: call.requestId ?? falRequestId };
  return createExchange({
    door,
    call,
    caller,
    settings,
    trace,
    query,
    asked: decided.query,
    body,
    apiKey,
    hold,
    price,
    job,
    form,
    base,
    more,
    origin,
    delivers,
  });
}

type Originated = Subscribed & { readonly origin: JobOrigin };

/** Where a new job comes from, and whether its result is delivered to the app. */
function originate({ call, caller, door, query, settings }: Decided): Soon<Originated> {
  const owned = ownsJobs(caller, settings);
  const { id, isPublic } = caller;
  const origin = { endpoint: call.endpoint, caller: id, isPublic, owned, at: settings.now() };
  if (call.kind !== "submit") return { origin, query, delivers: false };
  return andThen(subscribe(query, origin, door.head, settings), (subscribed) => {
    if (subscribed.delivers) sweepPending(door, settings);
    return { origin, query: subscribed.query, delivers: subscribed.delivers };
  });
}

/** The bytes of a submit that is small enough to be recognised when it is repeated. */
export function smallBodyOf({ door }: Decided, seen: Seen): Soon<Seen> {
  const length = Number(valueOf(door.head.headers, "content-length") ?? Number.NaN);
  if (seen.body !== "stream" || !(length <= smallBody)) return seen;
  return door.body(smallBody).then((body) => ({ body, input: seen.input }));
}
