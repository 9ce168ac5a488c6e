import { expect } from "vitest";
import { respond } from "../../upstream.ts";
import type { Field } from "../ground.ts";
import { type Play, ask, toBytes } from "../row.ts";

export const loadRows: readonly Play[] = [
  { what: "200 in a row", play: inARow },
  { what: "100 at once", play: atOnce },
  {
    what: "30 stalled bodies, and another caller is served",
    options: { timeouts: { callerBody: 400 } },
    play: stalled,
  },
];

/** Upstream answers with what it got, so a mixed-up answer shows. */
function echo({ ground }: Field): void {
  ground.upstream.answer(({ whole, response }) => {
    whole.then(
      (body) => respond(response, 200, { "content-type": "application/json" }, body),
      () => response.destroy(),
    );
  });
}

async function askNumber(field: Field, number: number): Promise<void> {
  const body = JSON.stringify({ number });
  const [reply] = await ask(field, { body });
  expect([reply?.status, reply?.body.toString()]).toEqual([200, body]);
}

async function inARow(field: Field): Promise<void> {
  echo(field);
  for (let number = 0; number < 200; number += 1) await askNumber(field, number);
}

async function atOnce(field: Field): Promise<void> {
  echo(field);
  await Promise.all(Array.from({ length: 100 }, (_, number) => askNumber(field, number)));
}

async function stalled(field: Field): Promise<void> {
  echo(field);
  const lines = await Promise.all(Array.from({ length: 30 }, () => field.line()));
  for (const line of lines) line.write(toBytes({ raw: "{head}\r\ncontent-length: 100\r\n\r\n{" }, field));
  for (let number = 0; number < 10; number += 1) await askNumber(field, number);
  const replies = await Promise.all(lines.map((line) => line.reply()));
  expect(replies.map((reply) => reply?.status)).toEqual(lines.map(() => 400));
  for (const line of lines) line.leave();
}
