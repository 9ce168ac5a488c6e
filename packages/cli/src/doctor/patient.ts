import { invalidOption } from "@keyway/core";
import { type Arguments, type Setting } from "../flags.ts";
import { type Answered, type Question, type Unanswered, ask } from "./ask.ts";

type DoctorSetting = "url" | "key" | "token" | "cookie" | "webhook" | "redis" | "online";

/** Where `keyway doctor` takes each of its settings from. */
export const doctorSettings: Readonly<Record<DoctorSetting, Setting>> = {
  url: {
    flag: "url",
    env: ["KEYWAY_PUBLIC_URL"],
    value: "<url>",
    help: "the running app's mount: https://app.example/api/fal/proxy",
  },
  key: { env: ["FAL_KEY"], help: "fal's key; beside a URL it may be missing" },
  token: { env: ["KEYWAY_TOKEN"], help: "what the app lets in as Authorization: Bearer" },
  cookie: { env: ["KEYWAY_COOKIE"], help: "what the app lets in as Cookie" },
  webhook: {
    flag: "webhook",
    env: ["KEYWAY_WEBHOOK_URL"],
    value: "<url>",
    help: "default: /api/fal/webhook of the same origin",
  },
  redis: { env: ["KEYWAY_REDIS_URL"], help: "the shared store, asked from here" },
  online: {
    flag: "online",
    env: [],
    help: "makes two harmless calls: one to fal.ai with the key, one through the app",
  },
};

/** The app that is looked at. It is asked as any caller would ask, so nothing has to be told to strangers. */
export interface Patient {
  readonly url: URL | undefined;
  readonly webhook: { readonly url: URL; readonly stated: boolean } | undefined;
  readonly redisUrl: string | undefined;
  readonly online: boolean;
  /** Whether there is something to be let in with. */
  readonly hasLogin: boolean;
  /** Asks the mount in header form, as a stranger or with the app's own login. */
  readonly ask: (who: "stranger" | "caller", target: string, question?: Question) => Promise<Answered | Unanswered>;
}

export function toPatient({ given, isOn, positionals }: Arguments): Patient {
  const url = toUrl("--url", positionals[0] ?? given(doctorSettings.url));
  const webhook = toUrl("--webhook", given(doctorSettings.webhook));
  const login = toLogin(given);
  return {
    url,
    webhook:
      webhook !== undefined
        ? { url: webhook, stated: true }
        : url && { url: new URL("/api/fal/webhook", url), stated: false },
    redisUrl: given(doctorSettings.redis),
    online: isOn(doctorSettings.online),
    hasLogin: Object.keys(login).length > 0,
    async ask(who, target, question = {}) {
      if (url === undefined) return { why: "no URL" };
      const headers = { ...(who === "caller" ? login : {}), ...question.headers, "x-fal-target-url": target };
      return ask(url, { ...question, headers });
    },
  };
}

function toLogin(given: Arguments["given"]): Readonly<Record<string, string>> {
  const token = given(doctorSettings.token)?.split(",", 1)[0]?.trim();
  const cookie = given(doctorSettings.cookie);
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(cookie === undefined ? {} : { cookie }),
  };
}

function toUrl(flag: string, text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === "")
    return url;
  throw invalidOption(`${flag} takes a whole URL: ${flag} https://app.example/api/fal/proxy`);
}
