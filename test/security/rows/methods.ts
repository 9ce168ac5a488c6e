import { type Row, job, run } from "../row.ts";

const refusedMethods: readonly (readonly [method: string, target: string])[] = [
  ["GET", run],
  ["HEAD", run],
  ["DELETE", run],
  ["PATCH", run],
  ["PUT", run],
  ["QUERY", run],
  ["PROPFIND", run],
  ["GET", "https://queue.fal.run/demo/echo"],
  ["POST", job],
  ["DELETE", job],
  ["GET", `${job}/cancel`],
  ["POST", `${job}/cancel`],
  ["PUT", `${job}/status`],
  ["HEAD", `${job}/status/stream`],
  ["GET", "https://rest.fal.ai/tokens/"],
  ["PUT", "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"],
];

export const methodRows: readonly Row[] = [
  ...refusedMethods.map(([method, target]) => ({
    what: `${method} ${target.replace("https://", "")}`,
    send: { method, target, body: null },
    expect: { status: 405, up: 0, ...(method === "HEAD" ? {} : { code: "method_refused" }) },
  })),
  {
    what: "TRACE, which a Request cannot be",
    send: { method: "TRACE", body: null },
    expect: { status: [405, "closed"], up: 0 },
  },
  { what: "a verb that nobody knows", send: { method: "SPEND", body: null }, expect: { status: 400, up: 0 } },
  { what: "a verb in small letters", send: { method: "post", body: null }, expect: { status: 400, up: 0 } },
  {
    what: "CONNECT",
    send: { method: "CONNECT", path: "fal.run:443", body: null },
    expect: { status: "closed", up: 0 },
  },
  { what: "OPTIONS of an app", send: { method: "OPTIONS", body: null }, expect: { status: 204, up: 0 } },
  {
    what: "OPTIONS of the server",
    send: { method: "OPTIONS", path: "*", body: null },
    expect: { status: [204, 404, "closed"], up: 0 },
  },
  {
    what: "a preflight of a page that is not listed",
    send: {
      method: "OPTIONS",
      body: null,
      lines: ["origin: https://evil.example", "access-control-request-method: POST"],
    },
    expect: { status: 403, code: "forbidden_origin", up: 0, got: { headers: { "access-control-allow-origin": null } } },
  },
  {
    what: "a preflight of a listed page",
    options: { origins: ["https://other.example"] },
    send: {
      method: "OPTIONS",
      body: null,
      lines: ["origin: https://other.example", "access-control-request-method: POST"],
    },
    expect: { status: 204, up: 0, got: { headers: { "access-control-allow-origin": "https://other.example" } } },
  },
  {
    what: "HEAD of a status",
    send: { method: "HEAD", target: `${job}/status` },
    expect: { status: 200, up: 1, saw: { method: "HEAD" }, got: { body: "" } },
  },
  {
    what: "an override to DELETE",
    send: { lines: ["x-http-method-override: DELETE", "x-http-method: DELETE", "x-method-override: DELETE"] },
    expect: { status: 200, up: 1, saw: { method: "POST", headers: { "x-http-method-override": null } } },
  },
  {
    what: "an override from GET to POST",
    send: { method: "GET", lines: ["x-http-method-override: POST"] },
    expect: { status: 405, up: 0 },
  },
  { what: "an override in the query", send: { path: "{mount}?_method=DELETE" }, expect: { status: 400, up: 0 } },
];
