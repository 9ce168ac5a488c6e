import { ProxyError, createKeyway, keyFromEnvironment } from "@keyway/core";
import { ask } from "./ask.ts";
import { type Finding, fault, note, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";
import { uploadStart } from "./probes.ts";

const makeOne = "make a key at https://fal.ai/dashboard/keys and set FAL_KEY=<key id>:<key secret> on the server";

/** Is there a key, does it look like one, and, when asked for, does fal.ai take it? It is shown nowhere. */
export async function checkKey({ online, url }: Patient): Promise<readonly Finding[]> {
  const key = keyFromEnvironment();
  const wrong = whyWrong(key);
  if (wrong !== undefined) return [wrong];
  const upstream = upstreamOf(key);
  if (upstream !== undefined) return [note(upstream)];
  if (key === undefined)
    return [
      url === undefined
        ? fault("FAL_KEY is not set here", makeOne)
        : skipped(
            "FAL_KEY is not set here, and need not be: the key of the app that was named is its own, and is not looked at",
          ),
    ];
  const shape = /^[^:]+:[^:]+$/.test(key)
    ? ok("FAL_KEY is set and has the shape of a key")
    : warning("FAL_KEY is set, but a key is two parts with a colon between them", makeOne);
  return [shape, online ? await tryKey(key) : skipped("whether fal.ai takes it: --online asks, at no cost")];
}

/** Keyway's own judgement about keys, here without an app. */
function whyWrong(key: string | undefined): Finding | undefined {
  try {
    createProbe(key);
    return undefined;
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return fault(error.message.replace(/^Keyway: |\.$/g, ""), "put this line right where the app is started");
  }
}

function upstreamOf(key: string | undefined): string | undefined {
  const found = createProbe(key)
    .check()
    .find(({ option }) => option === "upstream");
  return found && `${found.message} It is KEYWAY_UPSTREAM that says so.`;
}

function createProbe(key: string | undefined): ReturnType<typeof createKeyway> {
  const placeholder = key === undefined ? { apiKey: "no-key:only-to-look" } : {};
  const limits = { global: { requests: { max: 0, per: "day" } } } as const;
  return createKeyway({ authorize: () => null, endpoints: [], limits, ...placeholder });
}

/** Starts an upload, which no stranger may: what is asked about a job that does not exist is answered without a key as well. */
async function tryKey(key: string): Promise<Finding> {
  const answer = await ask(new URL(uploadStart.url), {
    method: "POST",
    headers: { authorization: `Key ${key}`, "content-type": "application/json" },
    body: uploadStart.body,
  });
  if ("why" in answer)
    return warning(
      `fal.ai could not be reached from here (${answer.why})`,
      "let this machine connect to rest.fal.ai:443",
    );
  if (answer.status === 401) return fault("fal.ai refuses the key (401)", makeOne);
  if (answer.status === 403)
    return fault(
      "fal.ai knows the key and lets it do nothing (403)",
      "look at the balance of its account and at its scope: https://fal.ai/dashboard",
    );
  return answer.status >= 500
    ? warning(`fal.ai answered ${answer.status}`, "ask again later")
    : ok(`fal.ai takes the key (${answer.status})`);
}
