import { setTimeout as pause } from "node:timers/promises";
import { microtime } from "./payload.ts";
import { cpuOf } from "./processes.ts";

const windowMs = 200;
const most = 0.05;

/** Resolves when a process hardly works any more, and rejects if it does not stop: what it takes, the peers measured next would lack. */
export async function untilQuiet(pid: number, patienceMs: number): Promise<void> {
  let share = 0;
  for (let waited = 0; waited < patienceMs; waited += windowMs) {
    const [from, cpu] = [microtime(), cpuOf(pid)];
    await pause(windowMs);
    share = (cpuOf(pid) - cpu) / (microtime() - from);
    if (share < most) return;
  }
  throw new Error(`takes ${Math.round(share * 100)} % of a core while nothing is asked of it`);
}
