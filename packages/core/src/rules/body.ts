import type { Call } from "../call.ts";
import { ProxyError } from "../errors.ts";
import { type HeaderList, announcesBody, countOf, valueOf } from "../head.ts";

/** Whether the call carries a body upstream. */
export function takesBody(call: Call): boolean {
  switch (call.kind) {
    case "run":
    case "stream":
      return call.method !== "GET";
    case "submit":
    case "token":
    case "upload":
      return true;
    case "status":
    case "status-stream":
    case "result":
    case "cancel":
    case "realtime":
      return false;
  }
}

/** Refuses what the body's headers already show: wrong type, coding, length (RFC 9110, section 8). */
export function checkBodyHeaders(call: Call, headers: HeaderList, maxBytes: number): void {
  const length = valueOf(headers, "content-length");
  if (countOf(headers, "content-type") > 1 || countOf(headers, "content-length") > 1)
    throw new ProxyError("repeated_header");
  if (!takesBody(call)) {
    if (length !== undefined && length !== "0") throw new ProxyError("unexpected_body");
    return;
  }
  if (mediaType(headers) !== json) throw new ProxyError("unsupported_media_type");
  const coding = valueOf(headers, "content-encoding")?.trim().toLowerCase();
  if (coding !== undefined && coding !== "identity" && announcesBody(headers))
    throw new ProxyError("unsupported_content_encoding");
  if (length !== undefined && Number(length) > maxBytes) throw tooLarge(maxBytes);
}

export function tooLarge(maxBytes: number): ProxyError {
  return new ProxyError("body_too_large", {
    message: `The request body is larger than ${maxBytes} bytes (option maxBodyBytes).`,
  });
}

/** The essence of a media type (WHATWG MIME Sniffing, section 4.4): what stands before `;`. */
function mediaType(headers: HeaderList): string {
  const type = valueOf(headers, "content-type") ?? "";
  return type === json ? json : (type.split(";", 1)[0]?.trim().toLowerCase() ?? "");
}

const json = "application/json";
