import { type FalClient, createFalClient } from "@fal-ai/client";
import type { Mounted } from "../conformance/mount.ts";

type Config = NonNullable<Parameters<typeof createFalClient>[0]>;
type Fetch = NonNullable<Config["fetch"]>;

// with a key in its environment the client would send it itself
for (const name of ["FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET"]) delete process.env[name];

/** The app's session, as a page without cookies carries it. */
const session: NonNullable<Config["requestMiddleware"]> = async (request) => ({
  ...request,
  headers: { ...request.headers, authorization: "Bearer ada" },
});

/** The official client on its defaults, in header form; `fetch` only where calls are to be recorded. */
export function connectByHeader({ url }: Pick<Mounted, "url">, fetch?: Fetch): FalClient {
  return createFalClient({
    proxyUrl: { url, when: "always" },
    requestMiddleware: session,
    ...(fetch === undefined ? {} : { fetch }),
  });
}

/** The same in path form: no proxy is configured, its URLs are led to the mount. */
export function connectByPath(mounted: Pick<Mounted, "url">, fetch: Fetch): FalClient {
  return createFalClient({
    requestMiddleware: session,
    fetch: leadTo(mounted.url, fetch),
  });
}

/** Straight to an emulator, with a key of its own. */
export function connectStraight(url: string, fetch: Fetch): FalClient {
  return createFalClient({ credentials: "id:secret", fetch: leadTo(url, fetch) });
}

function leadTo(base: string, fetch: Fetch): Fetch {
  return (target: string | URL | Request, init?: RequestInit) => {
    const url = target instanceof Request ? target.url : String(target);
    return fetch(url.replace(/^https:\/\/(?=[^/]*\bfal\.(?:run|ai)\/)/, `${base}/`), init);
  };
}
