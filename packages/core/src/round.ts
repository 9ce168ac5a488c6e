/** Goes round a Map some entries at a time, so that nobody waits for all of them to be looked at. */
export class Round<Key, Value> {
  readonly #map: Map<Key, Value>;
  #rest: MapIterator<[Key, Value]> | undefined = undefined;

  constructor(map: Map<Key, Value>) {
    this.#map = map;
  }

  /** The next tenth of them, and a thousand at least; each may be deleted when it comes. */
  *next(): Generator<[Key, Value]> {
    this.#rest ??= this.#map.entries();
    for (let left = Math.max(1000, this.#map.size / 10); left > 0; left -= 1) {
      const { done, value } = this.#rest.next();
      if (done) return void (this.#rest = undefined);
      yield value;
    }
  }
}
