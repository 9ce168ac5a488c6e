import { keyFromEnvironment } from "./api-key.ts";
import type { Settings } from "./options.ts";

/** One thing that `check` has to say. */
export interface Finding {
  readonly level: "info" | "warning" | "danger";
  readonly option: string;
  readonly message: string;
}

/** Explains what the settings come to, worst first. */
export function checkSettings(settings: Settings): readonly Finding[] {
  const order = { danger: 0, warning: 1, info: 2 };
  return findings(settings).sort((a, b) => order[a.level] - order[b.level]);
}

function findings(settings: Settings): Finding[] {
  const { authorize, endpoints, limits, production, publicUrl, upstream, ownership, dryRun, webhooks } = settings;
  const found: Finding[] = [];
  const say = (level: Finding["level"], option: string, message: string): void =>
    void found.push({ level, option, message });
  if (settings.apiKey === undefined && keyFromEnvironment() === undefined)
    say("danger", "apiKey", "No key: every call is answered 500 until FAL_KEY is set.");
  if (authorize === "public")
    say(
      production ? "danger" : "warning",
      "authorize",
      "Everybody may call; limits count by address, and jobs belong to nobody.",
    );
  if (endpoints.some(({ pattern }) => pattern === "**"))
    say("warning", "endpoints", "Every endpoint of fal.ai may be called: name the ones you use.");
  if (endpoints.length === 0) say("warning", "endpoints", "The list is empty: no endpoint may be called.");
  if (limits.global.budget === undefined)
    say(
      "warning",
      "limits.global.budget",
      'No cap for all callers together: a mistake can cost as much as the account holds. State limits: { global: { budget: { usd: 100, per: "day" } } }.',
    );
  const unpriced = endpoints.filter(({ price }) => price === undefined).map(({ pattern }) => pattern);
  if (unpriced.length > 0)
    say("info", "endpoints", `No price, so no money is counted: ${unpriced.slice(0, 5).join(", ")}.`);
  if (publicUrl === undefined)
    say(
      production ? "danger" : "info",
      "publicUrl",
      production
        ? "Not stated: callers with cookies, WebSockets and path-form submits are refused."
        : "Taken from the Host header while it names this machine or a private address.",
    );
  if (webhooks !== undefined && webhooks.url === undefined && publicUrl === undefined)
    say(
      production ? "danger" : "info",
      "webhooks.url",
      production
        ? "Neither it nor publicUrl is stated: submits are refused, because fal.ai could not deliver."
        : "Taken from the Host header, where fal.ai cannot deliver: settle() tells of finished jobs.",
    );
  if (ownership === "app") say("warning", "ownership", "Every caller may read and cancel every job.");
  if (dryRun)
    say(production ? "danger" : "warning", "dryRun", "Refusals of endpoints, inputs and rates are only logged.");
  if (upstream !== undefined)
    say("info", "upstream", `Calls go to ${upstream.origin}${upstream.prefix}, not to fal.ai.`);
  return found;
}
