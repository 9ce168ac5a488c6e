import { randomUUID } from "node:crypto";
import { ask } from "./ask.ts";
import { type Finding, fault, note, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";

/** Can fal.ai reach the webhook door, and does the door refuse what fal.ai has not signed? */
export async function checkWebhook({ webhook }: Patient): Promise<readonly Finding[]> {
  if (webhook === undefined) return [skipped("no running app was named")];
  const { url, stated } = webhook;
  const id = randomUUID();
  const answer = await ask(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-fal-webhook-request-id": id,
      "x-fal-webhook-user-id": "keyway-doctor",
      "x-fal-webhook-timestamp": String(Math.floor(Date.now() / 1000)),
      "x-fal-webhook-signature": "00".repeat(64),
    },
    body: JSON.stringify({ request_id: id, gateway_request_id: id, status: "OK", payload: {} }),
  });
  if ("why" in answer)
    return [fault(`nobody answers at ${url.href} (${answer.why})`, "start the app, or put --webhook right")];
  const { status, code } = answer;
  if (code === "delivery_refused") return [ok(`${url.href} refuses a forged delivery`)];
  if (!stated && status === 404)
    return [
      note(
        `no webhook door at ${url.href} (${status}); results are read by polling. If there is one elsewhere: --webhook <url>`,
      ),
    ];
  if (!stated && status >= 300 && status < 500)
    return [
      warning(
        `something else answers at ${url.href} (${status}): deliveries of fal.ai would not arrive`,
        "if the app has a webhook door, mount it before logins and redirects, or name it with --webhook <url>",
      ),
    ];
  if (status >= 200 && status < 300)
    return [
      fault(
        `${url.href} takes a forged delivery (${status}): anybody can make up results`,
        "let Keyway's webhook door answer there, and nothing before it",
      ),
    ];
  return [
    fault(
      `${url.href} answers ${status}, so deliveries of fal.ai do not arrive`,
      "mount Keyway's webhook door there, before logins, redirects and body parsers",
    ),
  ];
}
