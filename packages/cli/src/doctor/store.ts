import { openSharedStore } from "../shared-store.ts";
import { messageOf } from "../thrown.ts";
import { type Finding, fault, note, ok, warning } from "./finding.ts";

const slow = 50;

/** Is the shared store there and quick enough? */
export async function checkStore(redisUrl: string | undefined): Promise<readonly Finding[]> {
  if (redisUrl === undefined)
    return [
      note(
        "KEYWAY_REDIS_URL is not set here; without a shared store limits are counted in memory, which is right for one process alone",
      ),
    ];
  const { store, connected, close } = await openSharedStore(redisUrl, undefined);
  try {
    await connected();
    const started = performance.now();
    await store.get("keyway:2:doctor");
    const took = Math.ceil(performance.now() - started);
    return [
      took > slow
        ? warning(`Redis answers in ${took} ms, on the way of every spending call`, "run it nearer to the app")
        : ok(`Redis answers in ${took} ms`),
    ];
  } catch (error) {
    return [
      fault(
        `Redis does not answer (${messageOf(error)}): every spending call is refused`,
        "start it, or put KEYWAY_REDIS_URL right: host, port, password, redis:// or rediss://",
      ),
    ];
  } finally {
    close();
  }
}
