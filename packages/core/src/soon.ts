/**
 * A value, or the promise of one. What is there at once is passed on at once: an `await` costs a turn of the queue and its bookkeeping
 * even where there is nothing to wait for, and a status poll met a dozen of them.
 */
export type Soon<T> = T | Promise<T>;

/** Whether it has to be waited for. */
export function isPending<T>(value: Soon<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** Goes on with the value, now or when it is there. */
export function andThen<T, Next>(value: Soon<T>, next: (value: T) => Soon<Next>): Soon<Next> {
  return isPending(value) ? value.then(next) : next(value);
}

/** Does work that may fail, now or later; `mend` answers in its place, or throws. */
export function orElse<T, Other>(work: () => Soon<T>, mend: (error: unknown) => Soon<Other>): Soon<T | Other> {
  try {
    const value = work();
    return isPending(value) ? value.catch(mend) : value;
  } catch (error) {
    return mend(error);
  }
}
