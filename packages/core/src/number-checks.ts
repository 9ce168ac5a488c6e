import { invalidOption } from "./errors.ts";
import { suggest } from "./suggestion.ts";

/** Refuses sizes, times and counts that are none. */
export function checkNumbers(values: Record<string, unknown>): void {
  for (const name of ["maxBodyBytes", "reauthorize"]) checkPositive(name, values[name]);
  const hops = values["trustProxy"];
  if (hops !== undefined && !(typeof hops === "number" && Number.isInteger(hops) && hops >= 0 && hops <= 32)) {
    throw invalidOption("trustProxy is the number of reverse proxies in front: trustProxy: 1");
  }
  checkSockets(values["sockets"]);
  const times = values["timeouts"];
  if (times === undefined) return;
  if (typeof times !== "object" || times === null)
    throw invalidOption("timeouts are milliseconds by name: timeouts: { connect: 10_000 }");
  for (const [name, value] of Object.entries(times)) {
    if (!timeoutNames.includes(name)) throw invalidOption(`there is no timeout ${name}${suggest(name, timeoutNames)}`);
    checkPositive(`timeouts.${name}`, value);
  }
}

function checkSockets(sockets: unknown): void {
  if (sockets === undefined) return;
  const known = ["maxMessageBytes", "deflate"];
  if (typeof sockets !== "object" || sockets === null || Object.keys(sockets).some((name) => !known.includes(name)))
    throw invalidOption("sockets are { maxMessageBytes: 1_000_000, deflate: false }");
  const { maxMessageBytes, deflate }: { maxMessageBytes?: unknown; deflate?: unknown } = sockets;
  checkPositive("sockets.maxMessageBytes", maxMessageBytes);
  if (deflate !== undefined && typeof deflate !== "boolean") throw invalidOption("sockets.deflate is true or false");
}

const timeoutNames = [
  "connect",
  "runHead",
  "head",
  "streamIdle",
  "idle",
  "callerBody",
  "handshake",
  "socketIdle",
  "socketStall",
  "socketClose",
  "authorize",
  "store",
  "jobLease",
  "openLease",
  "abandoned",
  "finish",
  "drain",
];

/** Refuses what no timer or buffer could take. */
export function checkPositive(name: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0 || value > 2 ** 31 - 1) {
    throw invalidOption(`${name} is a positive number, at most ${2 ** 31 - 1}`);
  }
}
