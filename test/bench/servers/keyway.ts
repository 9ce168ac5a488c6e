// Keyway in one of its mounts, with its rules on: authorize, endpoint list, limits, sealed ids, the store in memory.
import type { Keyway, KeywayOptions } from "@keyway/core";
import { mounts } from "../../conformance/mounts/all.ts";
import { frameworks } from "../../conformance/mounts/frameworks.ts";
import { key, megabyte } from "../payload.ts";
import { announce } from "./announce.ts";

const [name = "", upstream = "", sender = ""] = process.argv.slice(2);
const mount = [...mounts, ...frameworks].find((candidate) => candidate.name === name);
if (mount === undefined) throw new Error(`there is no mount ${name}`);

const many = { max: 1e9, per: "minute" } as const;
const options: KeywayOptions = {
  authorize: ({ cookie }) => {
    const session = cookie("session");
    return session === undefined ? null : { id: session };
  },
  endpoints: [
    "fal-ai/flux/**",
    "fal-ai/quick/**",
    "fal-ai/bulk/**",
    "fal-ai/chat/**",
    "fal-ai/idle/**",
    "fal-ai/lcm/**",
  ],
  limits: { caller: { requests: many, jobs: 1e9, streams: 1e9 }, global: { requests: many }, pollsPerSecond: 1e9 },
  publicUrl: "http://bench.example/api/fal/proxy",
  maxBodyBytes: 256 * megabyte,
  upstream: { url: upstream, key },
};
const mounted = await mount.startMount(options);
if (sender === "fetch") sendByFetch(mounted.held as Keyway);
announce(new URL(mounted.url).origin);

/** The same handler on global fetch in place of the sender that its adapter brings. */
function sendByFetch(keyway: Keyway): void {
  const { fetch } = keyway;
  const slow: Keyway["fetch"] = (request, context) => fetch(request, { ...context, sender: undefined });
  Object.assign(keyway, { fetch: slow });
}
