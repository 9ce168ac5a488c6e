import { parseArgs } from "node:util";
import type { Workload } from "./peers.ts";

/** How much is measured. */
export interface Settings {
  readonly rounds: number;
  readonly seconds: number;
  /** How often calls are made in a new process before they count. */
  readonly warmUps: number;
  readonly streams: number;
  readonly idle: readonly [number, number];
  readonly megabytes: number;
  /** Parts of peers' names; empty for all. */
  readonly peers: readonly string[];
  readonly only: readonly string[];
  /** Nothing is begun after so many minutes; what was measured until then is shown. */
  readonly minutes: number;
  readonly docs: boolean;
  readonly check: boolean;
}

export const help = `npm run bench -- [options]
  --quick           a short look: one round, few peers, little memory
  --peers a,b       only peers whose name holds one of these words
  --only a,b        only these workloads: ${(["get", "one", "post", "megabyte", "tls", "events", "sockets", "later", "down", "up", "idle sockets", "idle events"] satisfies Workload[]).join(", ")}
  --rounds n        rounds in which the peers take turns; default 3
  --seconds s       length of one measurement; default 1.5
  --minutes m       begins nothing after so many minutes; default 30, and a whole run takes some 27
  --check           fails on what is wrong in our answers, never on time
  --docs            writes docs/performance.md and docs/performance.json
`;

/** Reads the command line; null when only the help was asked for. */
export function readSettings(args: readonly string[]): Settings | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      docs: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      peers: { type: "string" },
      only: { type: "string", default: "" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      minutes: { type: "string", default: "30" },
    },
  });
  if (values.help) return null;
  const { quick, check, docs } = values;
  const few = check ? "keyway express,keyway node" : "nginx,keyway express,official,http-proxy";
  return {
    rounds: Number(values.rounds ?? (quick ? 1 : 3)),
    seconds: Number(values.seconds ?? (quick ? 0.4 : 1.5)),
    warmUps: quick ? 1 : 3,
    streams: quick ? 50 : 500,
    idle: quick ? [100, 300] : [2000, 6000],
    megabytes: quick ? 20 : 100,
    peers: wordsOf(values.peers ?? (quick ? few : "")),
    only: wordsOf(values.only),
    minutes: Number(values.minutes),
    docs,
    check,
  };
}

function wordsOf(list: string): string[] {
  return list.split(",").filter((word) => word !== "");
}
