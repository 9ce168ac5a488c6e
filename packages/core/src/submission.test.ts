import { describe, expect, it } from "vitest";
import { parseCall } from "./call.ts";
import { parseTarget } from "./rules/target.ts";
import { type Submission, readSubmission, rewriteSubmission } from "./submission.ts";

const id = "019e161b-386c-7d33-8e2f-0123456789ab";
const call = parseCall(parseTarget("https://queue.fal.run/fal-ai/flux/dev"), "POST", false);
const job = { from: id, to: `${id}.seal` };
const own = `https://queue.fal.run/fal-ai/flux/requests/${id}`;
const text = `{"status": "IN_QUEUE","request_id":"${id}","response_url":"${own}","status_url": "${own}/status","cancel_url":"${own}/cancel","logs":null,"metrics":{},"queue_position":0}\n`;

function read(body: string): Submission | undefined {
  return readSubmission(new TextEncoder().encode(body));
}

function rewritten(body: string, base: string | undefined, sealed = job): string {
  const submission = read(body);
  return submission === undefined
    ? "no submission"
    : new TextDecoder().decode(rewriteSubmission(submission, sealed, call, base));
}

it("without a seal or a base nothing changes", () => {
  expect(rewritten(text, undefined, { from: id, to: id })).toBe(text);
});

it("the seal goes wherever the id stands, and nothing else changes", () => {
  expect(rewritten(text, undefined)).toBe(text.replaceAll(id, job.to));
});

it("in path form the three URLs lead back to us", () => {
  const base = "https://app.example/api/fal/proxy";
  const expected = text.replaceAll(id, job.to).replaceAll("https://queue.fal.run", `${base}/queue.fal.run`);
  expect(rewritten(text, base)).toBe(expected);
  expect(rewritten(text, base, { from: id, to: id })).toBe(
    text.replaceAll("https://queue.fal.run", `${base}/queue.fal.run`),
  );
});

it("whatever host and spelling upstream gives them", () => {
  const body = `{"request_id":"${id}","status_url":"https://evil.example/${id}?a=$&b=$1","response_url":"x","cancel_url":5}`;
  expect(JSON.parse(rewritten(body, "http://localhost:3000/p"))).toEqual({
    request_id: job.to,
    status_url: `http://localhost:3000/p/queue.fal.run/fal-ai/flux/requests/${job.to}/status`,
    response_url: `http://localhost:3000/p/queue.fal.run/fal-ai/flux/requests/${job.to}`,
    cancel_url: 5,
  });
});

describe("without an id there is no job to name", () => {
  it.each([
    "",
    "{",
    "null",
    "5",
    "[]",
    "{}",
    '{"request_id":5}',
    '{"request_id":""}',
    '{"request_id":"a/b"}',
    '{"request_id":"a b"}',
    `{"request_id":"${"x".repeat(201)}"}`,
    '{"request_id":"a\\r\\nb"}',
    '{"__proto__":{"request_id":"a"}}',
  ])("%s", (body) => {
    expect(read(body)).toBeUndefined();
  });
  it("and what is not UTF-8 has none", () => {
    expect(readSubmission(new Uint8Array([0xff]))).toBeUndefined();
  });
});

it("reads the id", () => {
  expect(read(text)?.id).toBe(id);
  expect(read(`\uFEFF${text}`)?.text).toBe(`\uFEFF${text}`);
});
