/** A call or socket under way; each can be cut off, and a socket be asked to close. Sockets know by which server they came. */
export interface OpenCall {
  cut(): void;
  drain?(): void;
  readonly server?: unknown;
  /** Where it stands among the open calls; -1 outside of them. */
  place: number;
}

/** What is under way. While it is walked through, calls may come and end. */
export interface OpenCalls extends Iterable<OpenCall> {
  readonly size: number;
  add(call: OpenCall): void;
  delete(call: OpenCall): void;
}

/**
 * A list in place of a Set: a Set that calls come to and leave is written anew all the time, and its old tables name every call that was
 * open then and lead to each other, so that ended calls outlive the quick collections of garbage.
 */
export function createOpenCalls(): OpenCalls {
  const list: OpenCall[] = [];
  return {
    get size() {
      return list.length;
    },
    add(call) {
      if (call.place < 0) call.place = list.push(call) - 1;
    },
    delete(call) {
      const { place } = call;
      const last = place < 0 ? undefined : list.pop();
      if (last === undefined) return;
      call.place = -1;
      if (last === call) return;
      last.place = place;
      list[place] = last;
    },
    [Symbol.iterator]: () => [...list].values(),
  };
}
