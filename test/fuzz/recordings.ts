/** Byte streams as fal's clients and fal.ai send them; the fuzz changes them. `{key}` stands for nothing: no recording has a key. */

const mount = "/api/fal/proxy";
const usual =
  "host: 127.0.0.1\r\nauthorization: Bearer ada\r\naccept: application/json\r\nuser-agent: @fal-ai/client/1.10.1 node\r\n";
const json = "content-type: application/json\r\n";

function post(target: string, body: string, more = ""): string {
  return `POST ${mount} HTTP/1.1\r\n${usual}x-fal-target-url: ${target}\r\n${json}${more}content-length: ${body.length}\r\n\r\n${body}`;
}

function get(target: string, more = ""): string {
  return `GET ${mount} HTTP/1.1\r\n${usual}x-fal-target-url: ${target}\r\n${more}\r\n`;
}

const input = '{"prompt":"a cat \\u00e9","seed":9007199254740993,"image":"data:;base64,AAAA"}';

/** Requests, in both forms of addressing, with both framings, and two in a row. */
export const requests: readonly string[] = [
  post("https://fal.run/demo/echo", input),
  post("https://queue.fal.run/demo/echo", input, "x-fal-queue-priority: low\r\nx-fal-runner-hint: a\r\n"),
  post("https://fal.run/demo/echo/stream?a=b", "{}", "accept: text/event-stream\r\n"),
  post("https://rest.fal.ai/tokens/", '{"allowed_apps":["demo"],"token_expiration":120}'),
  post(
    "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
    '{"content_type":"image/png","file_name":"a.png"}',
  ),
  get("https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab/status?logs=1"),
  get(
    "https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab/status/stream",
    "accept: text/event-stream\r\n",
  ),
  get("https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab"),
  `PUT ${mount}/queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab/cancel HTTP/1.1\r\n${usual}content-length: 0\r\n\r\n`,
  `POST ${mount}/fal.run/demo/echo HTTP/1.1\r\n${usual}${json}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n"b"\r\n1\r\n}\r\n0\r\n\r\n`,
  `OPTIONS ${mount} HTTP/1.1\r\n${usual}origin: https://page.example\r\naccess-control-request-method: POST\r\n\r\n`,
  post("https://fal.run/demo/echo", "{}") +
    get("https://queue.fal.run/demo/echo/requests/019e161b-386c-7d33-8e2f-0123456789ab"),
];

const upgrade = `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
const frames =
  "\x81\x85\x00\x00\x00\x00hello\x82\xfe\x00\x80\x01\x02\x03\x04" +
  "b".repeat(128) +
  "\x89\x80\x00\x00\x00\x00\x01\x81\x00\x00\x00\x00a\x80\x81\x00\x00\x00\x00b\x88\x82\x00\x00\x00\x00\x03\xe8";

/** Handshakes with frames behind them. */
export const upgrades: readonly string[] = [
  `GET ${mount}/fal.run/demo/echo/realtime HTTP/1.1\r\n${usual}${upgrade}\r\n${frames}`,
  `GET ${mount}/fal.run/demo/echo/realtime?max_buffering=5 HTTP/1.1\r\n${usual}${upgrade}sec-websocket-protocol: a, b\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n${frames}`,
];

const ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/** fal.ai's answers. */
export const replies: readonly string[] = [
  `${ok}content-length: 11\r\nx-fal-request-id: 019e161b-386c-7d33-8e2f-0123456789ab\r\nx-fal-billable-units: 1.5\r\n\r\n{"ok":true}`,
  `${ok}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n3;x=y\r\n"b"\r\n1\r\n}\r\n0\r\ntrailer: a\r\n\r\n`,
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n`,
  `${ok}content-length: 146\r\n\r\n{"status":"IN_QUEUE","request_id":"019e161b-386c-7d33-8e2f-0123456789ab","queue_position":0,"response_url":"https://queue.fal.run/demo/echo/requests/x"}`,
  `HTTP/1.1 422 Unprocessable Entity\r\n${json}content-length: 27\r\n\r\n{"detail":[{"msg":"wrong"}]}`,
  `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n`,
  `${ok}connection: close\r\n\r\n{"until":"the end"}`,
  `HTTP/1.1 307 Temporary Redirect\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n`,
  `${ok}content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope`,
];

/** fal.ai's answers to a handshake, frames behind them; `{accept}` stands for the right accept value. */
export const switches: readonly string[] = [
  `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello\x82\x7e\x00\x80${"b".repeat(128)}\x89\x00\x01\x01a\x80\x01b\x88\x02\x03\xe8`,
];
