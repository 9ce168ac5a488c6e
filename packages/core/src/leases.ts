/**
 * When what was lent for a while is over. Of leases of one length the oldest is over first, so what is over is found without looking at
 * the others; and there are only a few lengths.
 */
export class Leases {
  /** By their length in milliseconds: ids, and the time at which each is over. */
  readonly #queues = new Map<number, Map<string, number>>();

  begin(id: string, length: number, now: number): void {
    let queue = this.#queues.get(length);
    if (queue === undefined) this.#queues.set(length, (queue = new Map()));
    queue.set(id, now + length);
  }

  end(id: string, length: number): void {
    const queue = this.#queues.get(length);
    queue?.delete(id);
    if (queue?.size === 0) this.#queues.delete(length);
  }

  /** The ids of those that are over. */
  over(now: number): string[] {
    const found: string[] = [];
    for (const queue of this.#queues.values()) {
      for (const [id, until] of queue) {
        if (until > now) break;
        found.push(id);
      }
    }
    return found;
  }
}
