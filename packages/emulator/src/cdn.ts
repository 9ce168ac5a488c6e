import { headerOf, json, methodRefused, refusal, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { parseFields, toFields, textOf } from "./fields.ts";
import { toFile, type Upload } from "./files.ts";
import { toFileName } from "./rest.ts";

/** The file hosts: uploads by signed URL (fal-js), uploads by token (fal_client), downloads for everyone. */
export function answerCdn(exchange: Exchange): Answer {
  const { call, method } = exchange;
  const path = call.segments.join("/");
  switch (method) {
    case "GET":
    case "HEAD":
      return download(exchange, path);
    case "PUT":
      return put(exchange, path);
    case "POST":
      return post(exchange, path);
    default:
      return methodRefused(["GET", "HEAD", "PUT", "POST"]);
  }
}

function download({ platform }: Exchange, path: string): Answer {
  const file = platform.files.get(path);
  if (file === undefined) return refusal(404, "File not found");
  return {
    status: 200,
    headers: [
      ["content-type", file.contentType],
      ["etag", file.etag],
      ["cross-origin-resource-policy", "cross-origin"],
    ],
    body: file.bytes,
  };
}

/** A whole file under its upload URL, or one part under that URL plus `/n` or `/multipart/<id>/n`. */
function put(exchange: Exchange, path: string): Answer {
  const { platform, body, headers } = exchange;
  const whole = platform.files.upload(path);
  if (whole !== undefined) {
    if (!isAllowed(exchange, whole)) return refusal(403, "Signature does not match");
    const { etag } = platform.files.put(path, body, headerOf(headers, "content-type") ?? whole.contentType);
    return json(200, { etag }, [["etag", etag]]);
  }
  const [, base = "", number = ""] = /^(.+?)(?:\/multipart\/[^/]+)?\/(\d+)$/.exec(path) ?? [];
  const upload = platform.files.upload(base);
  if (upload === undefined) return refusal(404, "Upload not found");
  if (!isAllowed(exchange, upload)) return refusal(403, "Signature does not match");
  const part = toFile(body, "application/octet-stream");
  upload.parts.set(Number(number), part);
  return json(200, { partNumber: Number(number), etag: part.etag }, [["etag", part.etag]]);
}

function post(exchange: Exchange, path: string): Answer {
  if (path === "files/upload") return uploadByToken(exchange);
  if (path === "files/upload/multipart") return startByToken(exchange);
  const [, base = ""] = /^(.+?)(?:\/multipart\/[^/]+)?\/complete$/.exec(path) ?? [];
  const upload = exchange.platform.files.upload(base);
  if (upload === undefined) return refusal(404, "Upload not found");
  if (!isAllowed(exchange, upload)) return refusal(403, "Signature does not match");
  return complete(exchange, base, upload);
}

/** Puts the listed parts together in the order of their numbers; parts may have come in any order. */
function complete({ platform, body }: Exchange, path: string, upload: Upload): Answer {
  const listed = parseFields(body)?.["parts"];
  if (!Array.isArray(listed) || listed.length === 0) return refusal(400, "A list of parts is needed");
  const pieces: { readonly number: number; readonly bytes: Uint8Array }[] = [];
  for (const entry of listed) {
    const fields = toFields(entry);
    const number = Number(fields["partNumber"]);
    const part = upload.parts.get(number);
    if (part === undefined || unquoted(part.etag) !== unquoted(textOf(fields, "etag") ?? "")) {
      return refusal(400, `Part ${number} was not uploaded with that etag`);
    }
    pieces.push({ number, bytes: part.bytes });
  }
  pieces.sort((one, other) => one.number - other.number);
  const { etag } = platform.files.put(path, Buffer.concat(pieces.map(({ bytes }) => bytes)), upload.contentType);
  upload.parts.clear();
  return json(200, { etag }, [["etag", etag]]);
}

/** `POST /files/upload` with a CDN token (fal_client 1.0.1). */
function uploadByToken(exchange: Exchange): Answer {
  if (!hasToken(exchange)) return refusal(401, "Invalid token");
  const { platform, body, headers, cdnBase } = exchange;
  const path = pathByToken(exchange);
  platform.files.put(path, body, headerOf(headers, "content-type") ?? "application/octet-stream");
  return json(200, { access_url: `${cdnBase}/${path}` });
}

function startByToken(exchange: Exchange): Answer {
  if (!hasToken(exchange)) return refusal(401, "Invalid token");
  const { platform, headers, cdnBase } = exchange;
  const path = pathByToken(exchange);
  const contentType = headerOf(headers, "content-type") ?? "application/octet-stream";
  platform.files.expect(path, { contentType, signature: undefined });
  return json(200, { access_url: `${cdnBase}/${path}`, uploadId: platform.ids.hex("upload", 32) });
}

function pathByToken({ platform, headers }: Exchange): string {
  const name = toFileName(headerOf(headers, "x-fal-file-name") ?? "file");
  return `files/b/${platform.ids.hex("folder", 8)}/${platform.ids.hex("file", 21)}_${name}`;
}

function isAllowed(exchange: Exchange, { signature }: Upload): boolean {
  return signature === undefined ? hasToken(exchange) : exchange.call.query.get("signature") === signature;
}

function hasToken({ platform, headers }: Exchange): boolean {
  const token = /^Bearer +(\S+)$/i.exec(headerOf(headers, "authorization") ?? "")?.[1];
  return token !== undefined && platform.tokens.check(token, "cdn", "cdn") === "ok";
}

function unquoted(etag: string): string {
  return etag.replace(/^"|"$/g, "");
}
