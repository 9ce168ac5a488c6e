import type { AppContext } from "../app.ts";
import { refusal } from "../answer.ts";
import { namedError, namedErrors, validationError } from "../errors.ts";
import { numberOf, textOf, toFields } from "../fields.ts";
import { reply, type Reply } from "../reply.ts";

/**
 * Fails as its input says: `{ error: "runner_server_error" }` by name, `{ type: "content_policy_violation" }` as a
 * validation error of that type, `{ status: 500, message: "…" }` with a plain detail; 422 with a list without any.
 * `{ events: 2 }` lets a stream send so many events first.
 */
export async function fail(input: unknown, context: AppContext): Promise<Reply> {
  const fields = toFields(input);
  for (let sent = 0; sent < (numberOf(fields, "events") ?? 0); sent += 1) await context.emit({ sent });
  context.log("This app always fails", "ERROR");
  const status = toStatus(numberOf(fields, "status"));
  const message = textOf(fields, "message");
  const name = namedErrors.find((known) => known === fields["error"]);
  if (name !== undefined) return reply(namedError(name));
  if (status !== undefined && status !== 422) return reply(refusal(status, message ?? "This app always fails"));
  const type = textOf(fields, "type") ?? "value_error";
  return reply(validationError([{ loc: ["body", "prompt"], msg: message ?? "This app always fails", type }]));
}

function toStatus(given: number | undefined): number | undefined {
  return given !== undefined && Number.isInteger(given) && given >= 400 && given <= 599 ? given : undefined;
}
