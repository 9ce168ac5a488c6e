/** A bounded map that forgets what has not been asked for lately. */
export interface Recent<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): void;
  clear(): void;
}

/**
 * Two generations: when the young one is full, or `lifetime` milliseconds old, it becomes the old one, and the old one goes. What is asked
 * for moves to the young one, so the latest `most / 2` are always there, and there are never more than `most`.
 */
export function createRecent<Value>(
  most: number,
  lifetime: number = Number.POSITIVE_INFINITY,
  now: () => number = Date.now,
): Recent<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  let begun = now();

  function set(key: string, value: Value): void {
    if ((young.size >= most / 2 || now() - begun >= lifetime) && !young.has(key)) {
      old = young;
      young = new Map();
      begun = now();
    }
    young.set(key, value);
  }

  return {
    get(key) {
      const known = young.get(key);
      if (known !== undefined) return known;
      const before = old.get(key);
      if (before !== undefined) set(key, before);
      return before;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
    clear() {
      young = new Map();
      old = new Map();
    },
  };
}
