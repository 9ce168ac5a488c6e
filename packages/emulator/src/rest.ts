import { json, type Answer } from "./answer.ts";
import { validationError, type Issue } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { numberOf, parseFields, textOf, type Fields } from "./fields.ts";

/** Token life when the caller names none: what fal-js asks for, in seconds. */
const tokenSeconds = 120;

/** `rest.fal.ai`: tokens and the first step of uploads. */
export function answerRest(exchange: Exchange): Answer {
  const fields = parseFields(exchange.body.length === 0 ? Buffer.from("{}") : exchange.body);
  if (fields === undefined) return invalid([], "Input should be a valid dictionary", "model_attributes_type");
  switch (exchange.call.segments.join("/")) {
    case "tokens":
      return token(exchange, fields, "token_expiration", (text) => text);
    case "tokens/realtime":
      return token(exchange, fields, "duration", (text) => ({ token: text }));
    case "storage/auth/token":
      return cdnToken(exchange);
    default:
      return initiate(exchange, fields);
  }
}

/** `/tokens/` answers a bare JSON string, which is what fal-js needs; `/tokens/realtime` an object (fal docs, realtime). */
function token(exchange: Exchange, fields: Fields, lifeName: string, wrap: (text: string) => unknown): Answer {
  const apps = fields["allowed_apps"];
  if (!isNames(apps)) return invalid(["allowed_apps"], "Input should be a valid list of strings", "list_type");
  const seconds = fields[lifeName] === undefined ? tokenSeconds : (numberOf(fields, lifeName) ?? 0);
  if (seconds <= 0) return invalid([lifeName], "Input should be greater than 0", "greater_than");
  return json(200, wrap(exchange.platform.tokens.issue(apps, seconds)));
}

/** What fal_client 1.0.1 gets before it uploads by itself. */
function cdnToken({ platform, cdnBase }: Exchange): Answer {
  const expires = platform.clock.now() + 24 * 60 * 60 * 1000;
  return json(200, {
    token: platform.tokens.issue(["cdn"], 24 * 60 * 60),
    token_type: "Bearer",
    base_url: cdnBase,
    expires_at: new Date(expires).toISOString(),
  });
}

/** Both initiate calls answer alike: where to put the bytes, and where they will be found (fal-js 1.10.1, storage). */
function initiate({ platform, cdnBase }: Exchange, fields: Fields): Answer {
  const name = textOf(fields, "file_name") ?? "file";
  const contentType = textOf(fields, "content_type") ?? "application/octet-stream";
  const path = `files/b/${platform.ids.hex("folder", 8)}/${platform.ids.hex("file", 21)}_${toFileName(name)}`;
  const signature = platform.ids.hex("signature", 32);
  platform.files.expect(path, { contentType, signature });
  return json(200, { upload_url: `${cdnBase}/${path}?signature=${signature}`, file_url: `${cdnBase}/${path}` });
}

/** The name as it may stand in a URL. */
export function toFileName(name: string): string {
  return name.replace(/[^\w.-]+/g, "_").slice(-100);
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function invalid(path: readonly string[], msg: string, type: string): Answer {
  const issue: Issue = { loc: ["body", ...path], msg, type };
  return validationError([issue]);
}
