import { ProxyError } from "../errors.ts";
import type { Head } from "../head.ts";
import type { JobOrigin } from "../job.ts";
import type { Settings } from "../options.ts";
import { type Soon, andThen } from "../soon.ts";
import { deliveryUrl } from "./option.ts";

/** The query parameter of the app's own webhook URL that holds the sealed origin of a job. */
const tagName = "keyway";

export function tagIn(query: string | null): string | undefined {
  return new URLSearchParams(query ?? "").get(tagName) ?? undefined;
}

/** Whether a submit's result comes to the app, and the query that makes fal deliver it there. */
export interface Subscribed {
  readonly query: string | null;
  readonly delivers: boolean;
}

/** Tells fal where to deliver a new job's result, unless the caller was let choose himself. */
export function subscribe(query: string | null, origin: JobOrigin, head: Head, settings: Settings): Soon<Subscribed> {
  const { webhooks } = settings;
  if (webhooks === undefined || new URLSearchParams(query ?? "").has("fal_webhook")) return { query, delivers: false };
  const url = deliveryUrl(head, webhooks, settings);
  if (url === undefined) return { query, delivers: true };
  return andThen(webhooks.tags.seal(origin), (tag) => {
    url.searchParams.set(tagName, tag);
    const parameter = `fal_webhook=${encodeURIComponent(url.href)}`;
    return { query: query === null || query === "" ? parameter : `${query}&${parameter}`, delivers: true };
  });
}

/** The query of a submit whose caller names where its result is posted: only where the app said so, and written anew. */
export function allowWebhook(query: string, allow: readonly string[]): string {
  const parameters = new URLSearchParams(query);
  const text = parameters.get("fal_webhook") ?? "";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const allowed = url !== undefined && allow.includes(url.origin) && url.username + url.password === "";
  if (!allowed || parameters.getAll("fal_webhook").length !== 1) throw new ProxyError("webhook_refused");
  parameters.set("fal_webhook", url.href);
  return parameters.toString();
}
