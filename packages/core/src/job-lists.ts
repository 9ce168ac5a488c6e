import { type Expiring, firstOf } from "./expiring.ts";
import { Round } from "./round.ts";
import type { JobList, ListedJob, ListRead } from "./store.ts";

/** Lists of jobs in memory; what is no longer known of a job takes it off them. */
export interface JobLists {
  add(job: string, lists: readonly JobList[]): void;
  remove(job: string, lists: readonly string[]): void;
  read(list: string, read: ListRead): ListedJob[];
  /** Takes the oldest jobs off some lists as far as nothing is known of them any more. */
  sweep(): void;
}

export function createJobLists(notes: Expiring, now: () => number): JobLists {
  const lists = new Map<string, Map<string, number>>();
  const some = new Round(lists);

  function remove(job: string, key: string): void {
    const list = lists.get(key);
    list?.delete(job);
    if (list?.size === 0) lists.delete(key);
  }

  return {
    add(job, added) {
      for (const { key, most } of added) {
        let list = lists.get(key);
        if (list === undefined) lists.set(key, (list = new Map()));
        if (!list.has(job)) list.set(job, now());
        if (list.size > most + most / 10)
          for (const oldest of firstOf(list.keys(), list.size - most)) list.delete(oldest);
      }
    },
    remove(job, keys) {
      for (const key of keys) remove(job, key);
    },
    read(key, { since, most, first }) {
      const all = [...(lists.get(key) ?? [])];
      const found: ListedJob[] = [];
      for (const [job, at] of first === "newest" ? all.reverse() : all) {
        if (found.length >= most) break;
        const note = notes.get(job);
        if (note === null) remove(job, key);
        else if (at >= since) found.push({ job, note, since: at });
      }
      return found;
    },
    sweep() {
      for (const [key, list] of some.next()) {
        for (const job of list.keys()) {
          if (notes.get(job) !== null) break;
          remove(job, key);
        }
      }
    },
  };
}
