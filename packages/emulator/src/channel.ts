/** Hands values from one who makes them to one who takes them, in order, then one last value. */
export interface Channel<Value, Last> {
  /** Resolves when the value has been taken, or when nobody takes any more. */
  push(value: Value): Promise<void>;
  end(last: Last): void;
  next(): Promise<IteratorResult<Value, Last>>;
  /** The taker has left: whatever is pushed from now on is dropped. */
  leave(): void;
}

export function createChannel<Value, Last>(): Channel<Value, Last> {
  const offered: { readonly value: Value; readonly taken: () => void }[] = [];
  let waiting: ((result: IteratorResult<Value, Last>) => void) | undefined;
  let ended: { readonly done: true; readonly value: Last } | undefined;
  let left = false;

  function hand(result: IteratorResult<Value, Last>): boolean {
    const taker = waiting;
    waiting = undefined;
    taker?.(result);
    return taker !== undefined;
  }

  return {
    push(value) {
      if (left || ended !== undefined || hand({ done: false, value })) return Promise.resolve();
      return new Promise((resolve) => offered.push({ value, taken: resolve }));
    },
    end(last) {
      ended = { done: true, value: last };
      hand(ended);
    },
    next() {
      const first = offered.shift();
      first?.taken();
      if (first !== undefined) return Promise.resolve({ done: false, value: first.value });
      if (ended !== undefined) return Promise.resolve(ended);
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
    leave() {
      left = true;
      for (const { taken } of offered.splice(0)) taken();
    },
  };
}
