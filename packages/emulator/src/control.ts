import type { IncomingMessage } from "node:http";
import { hosts, type Address } from "./address.ts";
import { empty, json, methodRefused, refusal, type HeaderLine, type WholeAnswer } from "./answer.ts";
import type { RecordedCall } from "./calls.ts";
import { toFault, type Fault } from "./faults.ts";
import type { Platform } from "./platform.ts";

/** The emulator's own routes: what it got, what shall go wrong, and what it is. They need no key. */
export function answerControl(
  request: IncomingMessage,
  address: Address,
  body: Uint8Array,
  platform: Platform,
): WholeAnswer {
  switch (address.segments.join("/")) {
    case "":
      return about(platform);
    case "__calls":
      return answerCalls(request.method, platform);
    case "__deliveries":
      return request.method === "GET" ? json(200, platform.deliveries.list) : methodRefused(["GET"]);
    case "__faults":
      return answerFaults(request.method, body, platform);
    default:
      return refusal(404, `Not one of fal's hosts: put one before the path, such as /fal.run/demo/echo`);
  }
}

function about({ apps }: Platform): WholeAnswer {
  return json(200, {
    name: "@keyway/emulator",
    hosts,
    apps: apps.names,
    routes: ["/__calls", "/__deliveries", "/__faults"],
  });
}

function answerCalls(method: string | undefined, { calls }: Platform): WholeAnswer {
  if (method === "GET") return json(200, calls.list.map(toShown));
  if (method !== "DELETE") return methodRefused(["GET", "DELETE"]);
  calls.clear();
  return empty(204);
}

function answerFaults(method: string | undefined, body: Uint8Array, { faults }: Platform): WholeAnswer {
  if (method === "GET") return json(200, faults.list);
  if (method === "DELETE") {
    faults.clear();
    return empty(204);
  }
  if (method !== "POST") return methodRefused(["GET", "POST", "DELETE"]);
  const given = parseFaults(body);
  if (typeof given === "string") return refusal(400, given);
  for (const fault of given) faults.add(fault);
  return json(200, faults.list);
}

/** One fault or a list of them, or what is wrong. */
function parseFaults(body: Uint8Array): readonly Fault[] | string {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    const read = (Array.isArray(value) ? value : [value]).map(toFault);
    return read.find((fault) => typeof fault === "string") ?? read.filter((fault) => typeof fault !== "string");
  } catch {
    return "Faults come as JSON.";
  }
}

/** A call without its secrets: keys by scheme and length, tokens in URLs not at all. The body when it is short text. */
function toShown(call: RecordedCall): unknown {
  const { ended: _ended, body, url, headers, ...rest } = call;
  const text = body.length === call.bytes && call.bytes <= 64 * 1024 ? toText(body) : undefined;
  return { ...rest, url: url.replace(/(fal_jwt_token=)[^&]*/g, "$1…"), headers: headers.map(toShownLine), body: text };
}

function toShownLine([name, value]: HeaderLine): HeaderLine {
  if (!["authorization", "cookie", "proxy-authorization"].includes(name.toLowerCase())) return [name, value];
  const [scheme = "", ...secret] = value.split(" ");
  const shown = secret.length > 0 && name.toLowerCase() !== "cookie" ? `${scheme} ` : "";
  return [name, `${shown}(${value.length - shown.length} characters)`];
}

function toText(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}
