import { describeSettings, readArguments } from "../flags.ts";
import { ProxyError } from "@keyway/core";
import { type Check, type Finding, fault, toLines } from "./finding.ts";
import { checkKey } from "./key.ts";
import { checkMount } from "./mount.ts";
import { type Patient, doctorSettings, toPatient } from "./patient.ts";
import { checkStore } from "./store.ts";
import { checkUpgrade } from "./upgrade.ts";
import { checkUpstream } from "./upstream.ts";
import { checkWebhook } from "./webhook.ts";

const settings = Object.values(doctorSettings);

const help = `keyway doctor: looks at a setup, and says what to mend

  keyway doctor [url] [flags]

${describeSettings(settings)}

It looks at the key of this environment, and at a running app from outside: its mount, its WebSockets, its store, its webhook door, and
where its calls go. Without --online it sends nothing to fal.ai, and the app passes nothing on; at most the webhook door fetches fal's
public keys, to judge a forged delivery. Nothing that it does costs money.

Exit codes: 0 no fault, 1 a fault was found, 2 a setting is wrong.`;

/** Runs the checks one after the other, and answers the exit code. */
export async function doctor(args: readonly string[]): Promise<0 | 1> {
  const read = readArguments(args, settings, 1);
  if (read.help) {
    console.log(help);
    return 0;
  }
  const found: Finding[] = [];
  for (const { name, run } of checksOf(toPatient(read))) {
    showProgress(`looking at ${name} …`);
    const findings = await examine(run);
    showProgress("");
    for (const finding of findings) console.log(toLines(name, finding));
    found.push(...findings);
  }
  const count = (level: Finding["level"]): number => found.filter((finding) => finding.level === level).length;
  console.log(`\n${count("fault")} faults, ${count("warning")} warnings`);
  return count("fault") === 0 ? 0 : 1;
}

function checksOf(patient: Patient): readonly Check[] {
  return [
    { name: "key", run: () => checkKey(patient) },
    { name: "mount", run: () => checkMount(patient) },
    { name: "upgrade", run: () => checkUpgrade(patient) },
    { name: "store", run: () => checkStore(patient.redisUrl) },
    { name: "webhook", run: () => checkWebhook(patient) },
    { name: "upstream", run: () => checkUpstream(patient) },
  ];
}

/** A setting that is wrong is one more finding, so that the other checks still run. */
async function examine(run: Check["run"]): Promise<readonly Finding[]> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return [fault(error.message.replace(/^Keyway: /, ""), "put this setting right")];
  }
}

/** One line that is written over, on a terminal only. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
