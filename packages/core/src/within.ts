/** The value, unless it takes longer than so many milliseconds: then the rejection that `late` makes. */
export function within<T>(value: Promise<T>, ms: number, late: () => Error): Promise<T> {
  // By hand and not by `Promise.race`: this runs for every piece of a body, and a race makes two promises more.
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms);
    // What only has a `then` counts as a promise too.
    Promise.resolve(value).then(
      (given) => {
        clearTimeout(timer);
        resolve(given);
      },
      (cause: unknown) => {
        clearTimeout(timer);
        reject(cause);
      },
    );
  });
}
