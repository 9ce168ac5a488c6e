import type { ChildProcess } from "node:child_process";
import { weighDownload, weighUpload } from "./load/bulk.ts";
import { finishJobs, preparePolls, toDownload, toSubmit } from "./load/calls.ts";
import { runEvents } from "./load/events.ts";
import { type Ask, runRequests } from "./load/requests.ts";
import { runSockets, weighIdle } from "./load/sockets.ts";
import { megabyte } from "./payload.ts";
import type { Peer, Running, Workload } from "./peers.ts";
import { untilQuiet } from "./quiet.ts";
import type { Measure } from "./results.ts";
import type { Settings } from "./settings.ts";

/** What a measurement works with. */
export interface Ground {
  readonly settings: Settings;
  readonly upstream: { readonly child: ChildProcess; readonly plain: string; readonly tls: string };
  /** The file with the certificate that TLS upstreams are trusted by. */
  readonly ca: string;
}

type Figures = Partial<Record<Measure, number>>;
type Work = (peer: Peer, running: Running, ground: Ground) => Promise<Figures>;
type WorkAlone = (peer: Peer, ground: Ground) => Promise<Figures>;

/** Measured in every round, one after the other in one process. */
export const repeated: Readonly<Partial<Record<Workload, Work>>> = {
  async get(peer, running, { settings }) {
    const { perSecond, cpuMicros } = await runRequests(running, 64, settings.seconds, await polls(peer, running));
    return { get: perSecond, getCpu: cpuMicros };
  },
  async one(peer, running, { settings }) {
    const { p50 } = await runRequests(running, 1, settings.seconds, await polls(peer, running));
    return { one: p50 };
  },
  async post(peer, running, { settings }) {
    const ids: string[] = [];
    const submit = toSubmit(peer, "fal-ai/quick", (id) => ids.push(id));
    const { perSecond, cpuMicros } = await runRequests(running, 64, settings.seconds, () => submit);
    if (peer.ours) await finishJobs(peer, running, ids);
    return { post: perSecond, postCpu: cpuMicros };
  },
  async megabyte(peer, running, { settings }) {
    const download = toDownload(peer, 1);
    const { perSecond, cpuMicros } = await runRequests(running, 16, settings.seconds, () => download);
    return { megabyte: perSecond, megabyteCpu: cpuMicros };
  },
  async events(peer, running, { settings, upstream }) {
    const seconds = Math.max(1, settings.seconds);
    const warmUps = peer.lingers === true ? 0 : settings.warmUps;
    for (let turn = 0; turn < warmUps; turn += 1) {
      await runEvents(peer, running, upstream.child, settings.streams, 0.5);
      await untilQuiet(running.pid, 10_000);
    }
    const figures = await runEvents(peer, running, upstream.child, settings.streams, seconds);
    return {
      delay: figures.delayP50,
      eventCpu: figures.cpuMicros,
      firstEvent: figures.firstP99,
      closedWithin: figures.closedWithin,
    };
  },
  async sockets(peer, running, { settings }) {
    const { perSecond, cpuMicros } = await runSockets(peer, running, 100, settings.seconds);
    return { messages: perSecond, messageCpu: cpuMicros };
  },
  async later(peer, running, ground) {
    return { laterCpu: await pollWarm(peer, running, ground) };
  },
};

/** Each in a process of its own, once. */
export const once: Readonly<Partial<Record<Workload, WorkAlone>>> = {
  async tls(peer, ground) {
    return inFreshProcess(peer, ground.upstream.tls, ground.ca, async (running) => ({
      tlsCpu: await pollWarm(peer, running, ground),
    }));
  },
  down: weighing("down", "downSlow", weighDownload),
  up: weighing("up", "upSlow", weighUpload),
  "idle sockets": async (peer, { settings, upstream, ca }) =>
    inFreshProcess(peer, upstream.plain, ca, async (running) => ({
      idleSocket: (await weighIdle("idle sockets", peer, running, settings.idle)) / 1000,
    })),
  "idle events": async (peer, { settings, upstream, ca }) =>
    inFreshProcess(peer, upstream.plain, ca, async (running) => ({
      idleStream: (await weighIdle("idle events", peer, running, settings.idle)) / 1000,
    })),
};

function weighing(
  fast: Measure,
  slow: Measure,
  weigh: (peer: Peer, running: Running, megabytes: number, slow: boolean) => Promise<number>,
): WorkAlone {
  return async (peer, { settings, upstream, ca }) => {
    const figures: Figures = {};
    for (const [measure, slowly] of [
      [fast, false],
      [slow, true],
    ] as const) {
      figures[measure] = await inFreshProcess(peer, upstream.plain, ca, async (running) => {
        // Small calls only: a large one would take, before it counts, the very room that is to be measured.
        await runRequests(running, 4, settings.seconds, await polls(peer, running));
        return (await weigh(peer, running, settings.megabytes, slowly)) / megabyte;
      });
    }
    return figures;
  };
}

async function inFreshProcess<T>(
  peer: Peer,
  upstream: string,
  ca: string,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const running = await peer.start(upstream, ca);
  try {
    return await work(running);
  } finally {
    await running.stop();
  }
}

/** CPU of a status poll, microseconds, when its code is warm. */
async function pollWarm(peer: Peer, running: Running, { settings }: Ground): Promise<number> {
  const asks = await polls(peer, running);
  for (let turn = 0; turn < settings.warmUps; turn += 1) await runRequests(running, 64, settings.seconds, asks);
  return (await runRequests(running, 64, settings.seconds, asks)).cpuMicros;
}

const prepared = new WeakMap<Running, readonly Ask[]>();

/** Status polls of 5,000 jobs in turn. */
async function polls(peer: Peer, running: Running): Promise<() => Ask> {
  const asks = prepared.get(running) ?? (await preparePolls(peer, running));
  prepared.set(running, asks);
  let at = 0;
  return () => asks[(at += 1) % asks.length] as Ask;
}
