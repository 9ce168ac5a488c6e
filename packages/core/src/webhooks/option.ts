import { invalidOption } from "../errors.ts";
import type { Head } from "../head.ts";
import type { Log } from "../observe.ts";
import type { Settings } from "../options.ts";
import { isPrivateHost, ownOrigin, publicUrlMissing } from "../rules/origin.ts";
import type { ResultEvent } from "./event.ts";
import { type KeySetFetcher, createJwks } from "./key-set.ts";
import { type TagSealer, createTagSealer } from "./tag.ts";

/** Results of jobs, delivered to the app by fal. */
export interface WebhooksOption {
  /** Told of every finished job, once. When it throws, fal delivers again. */
  readonly onResult: (event: ResultEvent) => void | Promise<void>;
  /** Where fal finds this app's webhook door. Default: the origin of `publicUrl` and `/api/fal/webhook`. */
  readonly url?: string | undefined;
  /** Origins that a caller's own `fal_webhook` may name, such as `https://hooks.example`. Default none. */
  readonly allow?: readonly string[] | undefined;
  /** The one fal account whose deliveries count. Default any, because the sealed URL says which jobs are ours. */
  readonly userId?: string | undefined;
  /** Also tell of jobs of this account that were not submitted here; needs `userId`. Default false. */
  readonly acceptForeign?: boolean | undefined;
}

/** The option, resolved. */
export interface Webhooks {
  readonly onResult: WebhooksOption["onResult"];
  readonly url: string | undefined;
  readonly allow: readonly string[];
  readonly userId: string | undefined;
  readonly acceptForeign: boolean;
  readonly jwks: KeySetFetcher;
  readonly tags: TagSealer;
}

export function resolveWebhooks(
  option: WebhooksOption | undefined,
  secrets: () => readonly string[] | Promise<readonly string[]>,
  upstream: Settings["upstream"],
  log: Log,
): Webhooks | undefined {
  if (option === undefined) return undefined;
  const warn = (message: string): void => log.warn(message);
  const { onResult, url, allow = [], userId, acceptForeign = false } = option;
  const jwks = createJwks(
    upstream === undefined
      ? { warn }
      : { warn, url: `${upstream.origin}${upstream.prefix}/rest.fal.ai/.well-known/jwks.json` },
  );
  return { onResult, url, allow, userId, acceptForeign, jwks, tags: createTagSealer(secrets) };
}

const optionNames = ["onResult", "url", "allow", "userId", "acceptForeign"];

/** Refuses wrong values; each message shows the corrected line. */
export function checkWebhooks(option: unknown, production: boolean): void {
  if (option === undefined) return;
  const { onResult, url, allow, userId, acceptForeign, ...others }: Record<string, unknown> = Object(option);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalidOption(`webhooks has ${optionNames.join(", ")}, no ${unknown}`);
  if (typeof onResult !== "function")
    throw invalidOption("webhooks needs a function: webhooks: { onResult: async (event) => { ... } }");
  if (url !== undefined && !isDeliverable(url, production))
    throw invalidOption(
      'webhooks.url is where fal finds your webhook route: url: "https://app.example/api/fal/webhook"',
    );
  if (allow !== undefined && !(Array.isArray(allow) && allow.every(isOrigin)))
    throw invalidOption('webhooks.allow lists https origins without a path: allow: ["https://hooks.example"]');
  if (userId !== undefined && (typeof userId !== "string" || userId === ""))
    throw invalidOption("webhooks.userId is the id of your fal account, as its deliveries name it");
  if (acceptForeign !== undefined && typeof acceptForeign !== "boolean")
    throw invalidOption("webhooks.acceptForeign is true or false");
  if (acceptForeign === true && userId === undefined)
    throw invalidOption(
      "webhooks.acceptForeign needs webhooks.userId: one key set signs for all fal accounts, so anybody could deliver",
    );
}

function isDeliverable(url: unknown, production: boolean): boolean {
  if (typeof url !== "string" || !URL.canParse(url)) return false;
  const { protocol, username, password, hash } = new URL(url);
  return (protocol === "https:" || (protocol === "http:" && !production)) && username + password + hash === "";
}

function isOrigin(origin: unknown): boolean {
  if (typeof origin !== "string" || !URL.canParse(origin)) return false;
  return new URL(origin).origin === origin && origin.startsWith("https:");
}

const defaultPath = "/api/fal/webhook";

/**
 * Where fal is told to deliver, without the tag. Undefined where nobody said how the app is reached, and where fal.ai could not reach
 * it (fal delivers to no loopback or private address): such jobs are told by `settle()`.
 */
export function deliveryUrl(head: Head, { url }: Webhooks, settings: Settings): URL | undefined {
  if (url !== undefined) return new URL(url);
  const origin = ownOrigin(head, settings);
  const isLocal = origin !== undefined && isPrivateHost(new URL(origin).host);
  if (isLocal && settings.upstream === undefined) return undefined;
  if (origin !== undefined) return new URL(origin + defaultPath);
  if (settings.production) throw publicUrlMissing();
  return undefined;
}
