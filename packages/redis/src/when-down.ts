import { type Admission, type Admitted, type Store, createMemoryStore } from "@keyway/core";

/**
 * What happens to calls that spend while Redis is away or slow. `"refuse"`: 500 `store_unavailable`. `"memory"`: each process counts for
 * itself, so together they may let in the limits times the number of processes. `"open"`: nothing is counted. With the last two, `pause()` is
 * not seen while Redis is away.
 */
export type WhenDown = "refuse" | "memory" | "open";

const lineEvery = 10_000;
const mostUncounted = 100_000;

/** A store that answers admissions itself while the other cannot, and settles what it let in. Everything else fails as before. */
export function standInFor(redis: Store, whenDown: "memory" | "open"): Store {
  const memory = createMemoryStore();
  /** Holds of calls that were let in uncounted and go on: nothing knows them, and they are not refused for it. */
  const uncounted = new Set<string>();
  let said = Number.NEGATIVE_INFINITY;

  function tell(cause: unknown): void {
    if (performance.now() - said < lineEvery) return;
    said = performance.now();
    const how = whenDown === "memory" ? "counted in this process alone" : "let in uncounted";
    console.error(`[keyway] calls are ${how}: ${cause instanceof Error ? cause.message : "Redis failed"}`);
  }

  /** An answer that came too late may have taken it in Redis too, and whoever is told so may be away again. */
  function release(hold: string): void {
    redis.settle({ hold }, "release").catch(() => undefined);
  }

  /** A submit that was sent and not answered is never settled, so the oldest go. */
  function remember(hold: string): void {
    for (const oldest of uncounted) {
      if (uncounted.size < mostUncounted) break;
      uncounted.delete(oldest);
    }
    uncounted.add(hold);
  }

  async function admitWithout(admission: Admission, cause: unknown): Promise<Admitted> {
    tell(cause);
    const { hold, counters } = admission;
    if (hold !== undefined) release(hold.id);
    if (whenDown === "memory") return memory.admit(admission);
    if (hold !== undefined) remember(hold.id);
    return { ok: true, allowances: counters.map(({ max, windowMs }) => ({ remaining: max, resetMs: windowMs })) };
  }

  return {
    ...redis,
    async admit(admission) {
      try {
        return await redis.admit(admission);
      } catch (cause) {
        return admitWithout(admission, cause);
      }
    },
    async bind(hold, job, note, leaseMs, lists) {
      const isCounted = !uncounted.delete(hold);
      if (isCounted && !(await memory.extend(hold, leaseMs, 0))) return redis.bind(hold, job, note, leaseMs, lists);
      if (isCounted) await memory.bind(hold, job, note, leaseMs);
      // If Redis is back by now it learns of the job, for other processes and lists, and of no hold: memory has that, or nobody.
      release(hold);
      void Promise.resolve(redis.bind("", job, note, leaseMs, lists)).catch(tell);
    },
    async settle(name, outcome) {
      if ("hold" in name && uncounted.delete(name.hold)) {
        release(name.hold);
        return null;
      }
      return (await memory.settle(name, outcome)) ?? redis.settle(name, outcome);
    },
    async end(job, seconds) {
      const ended = await memory.end(job, seconds);
      return ended ?? ((await memory.get(job)) === null ? redis.end(job, seconds) : null);
    },
    extend: async (hold, leaseMs, micros) =>
      uncounted.has(hold) || (await memory.extend(hold, leaseMs, micros)) || redis.extend(hold, leaseMs, micros),
    correct: async (job, micros) => (await memory.correct(job, micros)) ?? redis.correct(job, micros),
    get: async (key) => (await memory.get(key)) ?? redis.get(key),
  };
}
