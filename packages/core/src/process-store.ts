import { createMemoryStore } from "./memory-store.ts";
import { ofProcess } from "./process.ts";
import type { Store } from "./store.ts";

/** The memory store of this process for a namespace: its instances count together, however often they were made. */
export function storeOfProcess(namespace: string): Store {
  return ofProcess(`memory store ${namespace}`, createMemoryStore);
}
