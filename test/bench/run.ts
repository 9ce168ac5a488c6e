// npm run bench: the proxy with its rules on beside others, in one run. Ratios of one run count; absolute figures are this machine's.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nginxVersion } from "./nginx.ts";
import { type Peer, type Running, type Workload, peers } from "./peers.ts";
import { cores, pinLoad, startModule, stopAll } from "./processes.ts";
import { untilQuiet } from "./quiet.ts";
import { goalTable, table, writeDocs } from "./report.ts";
import { type Problem, type Results, note } from "./results.ts";
import { type Settings, help, readSettings } from "./settings.ts";
import { describeMachine } from "./machine.ts";
import { type Ground, once, repeated } from "./workloads.ts";

const settings = readSettings(process.argv.slice(2));
if (settings === null) console.log(help);
else {
  try {
    await bench(settings);
  } finally {
    stopAll();
  }
}
process.exit();

async function bench(chosen: Settings): Promise<void> {
  pinLoad();
  const { child, said } = await startModule<{ plain: string; tls: string; ca: string }>("upstream.ts", [], cores.load);
  const folder = mkdtempSync(join(tmpdir(), "keyway-bench-"));
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, said.ca);
  const ground: Ground = { settings: chosen, upstream: { child, plain: said.plain, tls: said.tls }, ca };
  const results: Results = { figures: new Map(), problems: [] };
  const taking = peers.filter(({ name }) => takesPart(name, chosen));
  const machine = describeMachine();
  console.log([...machine, ""].join("\n"));
  await measure(taking, ground, results);
  console.log(`\n${table(results)}\n\n${goalTable(results)}\n`);
  for (const { peer, workload, says } of results.problems) console.log(`${peer}, ${workload}: ${says}`);
  const json = JSON.stringify(
    { machine, settings: chosen, figures: toRecord(results), problems: results.problems },
    null,
    2,
  );
  const file = join(folder, "bench.json");
  writeFileSync(file, json);
  console.log(`All figures, round by round: ${file}`);
  if (chosen.docs) writeDocs(results, machine, chosen, json);
  if (chosen.check) judge(results);
}

function takesPart(name: string, { peers: words }: Settings): boolean {
  if (name === "nginx" && nginxVersion() === undefined) {
    console.log("nginx is not installed (apt-get install nginx), so there are no ratios to it.");
    return false;
  }
  return words.length === 0 || words.some((word) => name.includes(word));
}

/** In each round the peers take turns. */
async function measure(taking: readonly Peer[], ground: Ground, results: Results): Promise<void> {
  const { rounds, minutes } = ground.settings;
  const until = Date.now() + minutes * 60_000;
  for (let round = 1; round <= rounds; round += 1)
    for (const peer of taking) {
      if (Date.now() > until) return;
      console.log(`${peer.name}, round ${round} of ${rounds}`);
      await takeTurn(peer, ground, results);
    }
  for (const workload of worksOf(once, ground)) {
    console.log(workload);
    for (const peer of taking) {
      if (peer.skips.includes(workload) || Date.now() > until) continue;
      try {
        note(results, peer.name, (await once[workload]?.(peer, ground)) ?? {});
      } catch (error) {
        noteProblem(results, peer, workload, error);
      }
    }
  }
}

/**
 * One process measured in all that is repeated, with nothing else running. It begins warm: a process that has just begun, and one that was
 * at rest for a minute or two, is slow for some seconds.
 */
async function takeTurn(peer: Peer, ground: Ground, results: Results): Promise<void> {
  let under: Workload | "start" = "start";
  let running: Running | undefined;
  try {
    running = await peer.start(ground.upstream.plain, ground.ca);
    for (let turn = 0; turn < ground.settings.warmUps; turn += 1)
      for (const workload of ["get", "post"] as const)
        if (!peer.skips.includes(workload)) await repeated[workload]?.(peer, running, ground);
    for (const workload of worksOf(repeated, ground)) {
      if (peer.skips.includes(workload)) continue;
      under = workload;
      note(results, peer.name, (await repeated[workload]?.(peer, running, ground)) ?? {});
      await untilQuiet(running.pid, patienceMs(ground));
    }
  } catch (error) {
    noteProblem(results, peer, under, error);
  } finally {
    await running?.stop();
  }
}

function worksOf(works: object, { settings: { only } }: Ground): Workload[] {
  return (Object.keys(works) as Workload[]).filter((workload) => only.length === 0 || only.includes(workload));
}

function noteProblem({ problems }: Results, { name, ours }: Peer, workload: Problem["workload"], error: unknown): void {
  problems.push({ peer: name, workload, says: error instanceof Error ? error.message : String(error), ours });
}

/** How long a peer may take to become quiet after a measurement. Where only right and wrong count, a busy machine is no fault. */
function patienceMs({ settings: { check } }: Ground): number {
  return check ? 10_000 : 1000;
}

function toRecord({ figures }: Results): Record<string, Record<string, number[]>> {
  return Object.fromEntries([...figures].map(([peer, rows]) => [peer, Object.fromEntries(rows)]));
}

/** Only what is right or wrong on any machine, however busy. */
function judge({ problems, figures }: Results): void {
  const wrong = problems.filter(({ ours }) => ours);
  const lost = [...figures].filter(
    ([peer, rows]) => peer.startsWith("keyway") && (rows.get("closedWithin") ?? []).some((ms) => !Number.isFinite(ms)),
  );
  for (const [peer] of lost) console.log(`${peer}: upstream was not closed after the caller had left`);
  if (wrong.length === 0 && lost.length === 0) console.log("every answer of ours was right");
  else process.exitCode = 1;
}
