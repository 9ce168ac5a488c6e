import { empty, headerOf, type HeaderLine, type WholeAnswer } from "./answer.ts";

const exposed = [
  "etag",
  "x-fal-request-id",
  "x-fal-billable-units",
  "x-fal-error-type",
  "x-fal-request-timeout-type",
  "x-fal-needs-retry",
].join(", ");

/** Lets every page read the answer, as apps and the CDN do (fal's app framework allows all origins). */
export function corsHeaders(headers: readonly HeaderLine[]): readonly HeaderLine[] {
  if (headerOf(headers, "origin") === undefined) return [];
  return [
    ["access-control-allow-origin", "*"],
    ["access-control-expose-headers", exposed],
  ];
}

/** The answer to a browser's question before a cross-origin request; undefined for all other requests. */
export function answerPreflight(method: string, headers: readonly HeaderLine[]): WholeAnswer | undefined {
  if (method !== "OPTIONS") return undefined;
  return empty(204, [
    ["access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"],
    ["access-control-allow-headers", headerOf(headers, "access-control-request-headers") ?? "*"],
    ["access-control-max-age", "600"],
  ]);
}
