import { type MountOptions, toMountUrl } from "./mount.ts";

export interface TokenProviderOptions extends MountOptions {
  /** How long a token may be used to connect, in seconds: 1 to 300, 120 by default. A connection that is open stays open. */
  readonly expiresIn?: number;
  /** Headers by which the app knows its user, where that is not a cookie; asked before every request. */
  readonly headers?: () => Readonly<Record<string, string>>;
  /** Told why there is no token, because the official client says nothing then. By default it is written to the console. */
  readonly onError?: (error: Error) => void;
}

const timeoutMs = 30_000;

/**
 * A `tokenProvider` for the official client: asks the proxy for a token for exactly the endpoint that is to be connected, so that the
 * rule for that endpoint decides. The client's own default asks for every app of that name. A token is a right to spend at that endpoint
 * without the proxy's limits, so the proxy gives one only where `endpoints` says `realtime: "token"`, or lists the endpoint by its whole name
 * without a rule.
 *
 * The provider rejects with the proxy's own words when it refuses, and when there is no answer within 30 s.
 * @example
 * fal.realtime.connect("fal-ai/fast-lcm-diffusion", { tokenProvider: tokenProvider({ proxyUrl: "/api/fal/proxy" }), onResult });
 */
export function tokenProvider(options: TokenProviderOptions): (endpoint: string) => Promise<string> {
  const { onError = (error) => console.error(error.message) } = options;
  return async (endpoint) => {
    try {
      return await fetchToken(endpoint, options);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new Error(`There is no token for ${endpoint}: ${why}`, { cause });
      onError(error);
      throw error;
    }
  };
}

/** fal's own way for whole endpoint ids (fal docs, realtime): `POST /tokens/realtime`, answered `{ token }`. */
async function fetchToken(endpoint: string, options: TokenProviderOptions): Promise<string> {
  const { proxyUrl, expiresIn = 120, headers } = options;
  const response = await fetch(toMountUrl(proxyUrl), {
    method: "POST",
    credentials: "include",
    headers: {
      ...headers?.(),
      "content-type": "application/json",
      "x-fal-target-url": "https://rest.fal.ai/tokens/realtime",
    },
    body: JSON.stringify({ allowed_apps: [endpoint], duration: expiresIn }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new Error(textOf(answer, "message") ?? `the proxy answered ${response.status}.`);
  const token = typeof answer === "string" ? answer : textOf(answer, "token");
  if (!token) throw new Error("the proxy answered without one.");
  return token;
}

function textOf(value: unknown, name: string): string | undefined {
  const found: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return typeof found === "string" ? found : undefined;
}
