// Plants faults in a copy of the packages, one at a time: each must turn the suite red. A suite that cannot fail is none.
import { availableParallelism } from "node:os";
import { type Fault, faults } from "./faults.ts";
import { type Workshop, createWorkshop } from "./workshop.ts";

const wanted = process.argv.slice(2).join(" ");
const chosen = faults.filter(({ name }) => name.includes(wanted));
const workshops = Array.from({ length: Math.min(4, availableParallelism(), chosen.length) }, createWorkshop);
const waiting = [...chosen];
const survivors: string[] = [];

async function judge(workshop: Workshop, fault: Fault): Promise<void> {
  const restore = workshop.plant(fault);
  const started = Date.now();
  const { how, output } = await workshop.run(fault.seenBy);
  restore();
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  if (how === "broken") throw new Error(`"${fault.name}" kept the tests from running:\n${output.slice(-4000)}`);
  if (how === "green") survivors.push(fault.name);
  console.log(`${how === "red" ? "killed  " : "SURVIVED"}  ${fault.name} (${seconds} s)`);
}

async function work(workshop: Workshop): Promise<void> {
  for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) await judge(workshop, fault);
}

async function checkBaseline(workshop: Workshop): Promise<void> {
  for (const fault of chosen) workshop.plant(fault)();
  const { how, output } = await workshop.run([...new Set(chosen.flatMap(({ seenBy }) => seenBy))]);
  if (how !== "green") throw new Error(`the suite is not green without a fault:\n${output.slice(-4000)}`);
}

try {
  const [first] = workshops;
  if (first === undefined) throw new Error(`there is no fault named ${wanted}`);
  await checkBaseline(first);
  await Promise.all(workshops.map(work));
  console.log(`${chosen.length - survivors.length} killed, ${survivors.length} survived`);
  process.exitCode = survivors.length === 0 ? 0 : 1;
} finally {
  for (const workshop of workshops) workshop.close();
}
