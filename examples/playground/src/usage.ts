/** What a user has spent and may still spend, in US dollars: the app's `keyway.usage`, at `GET /api/usage`. */
export interface Usage {
  readonly spent: number;
  /** Set aside for calls that are not over. */
  readonly reserved: number;
  readonly left: number;
  readonly budget: { readonly usd: number; readonly per: string };
}

/** Reads the usage of users of the example, signed in here or not. */
export interface UsageReader {
  /** Undefined for a user who has no budget. */
  read(user: string): Promise<Usage | undefined>;
}

/** Each user is asked for with a token of his own; the page's session, a cookie, is left as it is. */
export function createUsageReader(usageUrl: string, sessionUrl: string): UsageReader {
  const tokens = new Map<string, Promise<string>>();

  const ask = async (user: string): Promise<Response> => {
    const token = tokens.get(user) ?? fetchToken(sessionUrl, user);
    tokens.set(user, token);
    const headers = { authorization: `Bearer ${await token}` };
    return fetch(usageUrl, { headers, credentials: "omit" });
  };
  return {
    async read(user) {
      let answer = await ask(user);
      if (answer.status === 401) {
        tokens.delete(user); // the app was started anew
        answer = await ask(user);
      }
      return answer.ok ? toUsage(await answer.json()) : undefined;
    },
  };
}

async function fetchToken(url: string, user: string): Promise<string> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
    credentials: "omit",
  });
  const { token }: { token?: unknown } = Object(await answer.json());
  return String(token);
}

function toUsage(value: unknown): Usage | undefined {
  const { spent, reserved, left, budget }: Record<string, unknown> = Object(value);
  const { usd, per }: Record<string, unknown> = Object(budget);
  if (typeof spent !== "number" || typeof reserved !== "number" || typeof left !== "number") return undefined;
  return typeof usd === "number" ? { spent, reserved, left, budget: { usd, per: String(per) } } : undefined;
}
