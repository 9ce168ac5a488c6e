import { type Finding, note, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";
import { uploadStart } from "./probes.ts";

/**
 * Where do the running app's calls go? It is not asked, because strangers could ask as well: a caller starts an upload through it, at
 * no cost, and the place that it is given tells who answered.
 */
export async function checkUpstream(patient: Patient): Promise<readonly Finding[]> {
  if (patient.url === undefined) return [skipped("no running app was named")];
  if (!patient.online || !patient.hasLogin)
    return [
      skipped("where the app's calls go: --online starts an upload through it, with KEYWAY_TOKEN or KEYWAY_COOKIE"),
    ];
  const answer = await patient.ask("caller", uploadStart.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: uploadStart.body,
  });
  if ("why" in answer) return [warning(`no answer (${answer.why})`, "read the app's log")];
  if (answer.code === "uploads_refused")
    return [note("the app takes no uploads, so it cannot be told where its calls go")];
  const host = hostOf(answer.json["file_url"]);
  if (host === undefined)
    return [
      warning(
        `an upload was answered ${answer.status} ${answer.code ?? "by upstream"}`,
        answer.status === 401 && answer.code === undefined
          ? "upstream does not take the app's key: put FAL_KEY of the running app right"
          : "read the app's log: it has the reason",
      ),
    ];
  if (/(?:^|\.)fal\.(?:media|ai|run)$/.test(host))
    return [ok(`the app's calls go to fal.ai (its files are at ${host})`)];
  if (/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(host))
    return [
      warning(
        "the app's calls go to a local emulator: nothing is computed, and nothing costs",
        "for fal.ai take out KEYWAY_UPSTREAM and the option upstream",
      ),
    ];
  return [note(`the app's calls go to an upstream that keeps its files at ${host}`)];
}

function hostOf(url: unknown): string | undefined {
  return typeof url === "string" && URL.canParse(url) ? new URL(url).hostname : undefined;
}
