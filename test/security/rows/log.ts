import { expect } from "vitest";
import type { Field } from "../ground.ts";
import { reset } from "../hostile.ts";
import { type Play, ask } from "../row.ts";
import { always } from "../../upstream.ts";

const secrets = {
  bearer: "bearer-canary-5f3a",
  cookie: "cookie-canary-91bc",
  prompt: "prompt-canary-77de",
  query: "query-canary-20aa",
  tag: "tag-canary-c0de",
};

/** Last on every mount: whatever was played before stands in the log. */
export const logRows: readonly Play[] = [
  { what: "the key, after all of this", play: noKey },
  { what: "credentials, cookies, prompts and queries", play: noCredentials },
  { what: "lines that a caller wrote", play: noForgery },
];

async function noKey({ ground }: Field): Promise<void> {
  expect(ground.log.length).toBeGreaterThan(100);
  expect(ground.log.filter((line) => ground.watch.count(line) > 0)).toEqual([]);
}

async function noCredentials(field: Field): Promise<void> {
  const { log, upstream } = field.ground;
  const lines = [
    `authorization: Bearer ${secrets.bearer}`,
    `cookie: session=${secrets.cookie}`,
    `x-fal-tags: ${secrets.tag}`,
    `x-fal-other: ${secrets.tag}`,
  ];
  const targets = [
    "https://fal.run/demo/echo",
    "https://fal.run/other/echo",
    "https://evil.example/",
    "https://queue.fal.run/demo/echo",
  ];
  for (const script of [always(200, {}, "{}"), always(500, {}, secrets.prompt), undefined]) {
    upstream.answer(script ?? (({ socket }) => reset(socket)));
    for (const target of targets) {
      await ask(field, {
        without: ["authorization"],
        lines,
        target: `${target}?q=${secrets.query}`,
        body: JSON.stringify({ prompt: secrets.prompt }),
      });
    }
  }
  const text = log.join("\n");
  expect(Object.values(secrets).filter((secret) => text.includes(secret))).toEqual([]);
  expect(text).not.toMatch(/Bearer ada|session=ada/);
}

async function noForgery(field: Field): Promise<void> {
  const { log } = field.ground;
  const before = log.length;
  await ask(field, { lines: [`x-fal-${"a".repeat(300)}: 1`], target: "https://fal.run/demo/%C2%85%E2%80%A8" });
  await ask(field, { lines: ["origin: https://evil.example\tforged: line", "cookie: session=ada"] });
  for (const line of log.slice(before)) {
    expect(line.length).toBeLessThan(2200);
    expect(line).not.toMatch(/\r|\u0085|\u2028/);
  }
}
