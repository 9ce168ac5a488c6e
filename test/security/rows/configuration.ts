import { expect } from "vitest";
import { type Field, setVariable, startField } from "../ground.ts";
import { type Play, ask, codeOf } from "../row.ts";

const missing: readonly (readonly [what: string, value: string | undefined])[] = [
  ["no key", undefined],
  ["an empty key", ""],
];

/** Refused when the app starts; the message says what is wrong, and shows nothing of the key. */
const refused: readonly (readonly [what: string, value: string])[] = [
  ["a line break in the key", "canary-id:canary\nsecret"],
  ["a line break behind the key", "canary-id:canary-secret\r\n"],
  ["white space around the key", " canary-id:canary-secret "],
  ["a tab behind the key", "canary-id:canary-secret\t"],
  ["a letter that a header cannot hold", "canary-id:canary-s\u00e9cret"],
  ["the word undefined", "undefined"],
  ["the word null", "null"],
  ["an object as text", "[object Object]"],
  ["the scheme before the key", "Key canary-id:canary-secret"],
];

export const configurationRows: readonly Play[] = [
  ...missing.map(([what, value]) => ({ what, play: (field: Field) => withKey(value, () => unready(field)) })),
  ...refused.map(([what, value]) => ({ what, play: (field: Field) => withKey(value, () => refusedAtStart(field)) })),
  {
    what: "a key that vanishes while the app runs",
    play: (field) => withKey(field.ground.key, () => vanishing(field)),
  },
  { what: "a key that breaks while the app runs", play: (field) => withKey(field.ground.key, () => breaking(field)) },
  { what: "development: an answer says no more than in production", play: neutral },
  {
    what: "development: an upstream beyond this machine is refused",
    play: (field) => withVariable("KEYWAY_UPSTREAM", "http://evil.example", () => refusedUpstream(field)),
  },
  { what: "development: the emulator never gets the key", play: emulator },
];

async function withVariable(name: string, value: string | undefined, then: () => Promise<void>): Promise<void> {
  const before = process.env[name];
  setVariable(name, value);
  try {
    await then();
  } finally {
    setVariable(name, before);
  }
}

function withKey(value: string | undefined, then: () => Promise<void>): Promise<void> {
  return withVariable("FAL_KEY", value, then);
}

async function unready({ ground, mount }: Field): Promise<void> {
  const field = await startField(ground, mount);
  const [reply] = await ask(field, {});
  await field.mounted.close();
  expect([reply?.status, codeOf(reply)]).toEqual([500, "key_missing"]);
  expect(reply?.body.toString()).not.toMatch(/FAL_KEY|environment|apiKey/);
  expect(ground.log.some((line) => line.includes("FAL_KEY"))).toBe(true);
}

async function refusedAtStart({ ground, mount }: Field): Promise<void> {
  const thrown = await messageOf(() => startField(ground, mount));
  expect(thrown).toContain("FAL_KEY");
  expect(thrown).not.toMatch(/canary-(?:id|s)|at .*canary/);
}

async function vanishing({ ground, mount }: Field): Promise<void> {
  const field = await startField(ground, mount);
  setVariable("FAL_KEY", undefined);
  const [reply] = await ask(field, {});
  await field.mounted.close();
  expect([reply?.status, codeOf(reply)]).toEqual([500, "key_missing"]);
}

async function breaking({ ground, mount }: Field): Promise<void> {
  const field = await startField(ground, mount);
  setVariable("FAL_KEY", `${ground.key}\r\nx-evil: 1`);
  const [reply] = await ask(field, {});
  await field.mounted.close();
  expect([reply?.status, codeOf(reply)]).toEqual([500, "key_missing"]);
}

async function neutral({ ground, mount }: Field): Promise<void> {
  const authorize = (): never => {
    throw new Error(`secret detail in ${import.meta.filename}`);
  };
  await withVariable("NODE_ENV", "development", async () => {
    const field = await startField(ground, mount, { authorize });
    const [reply] = await ask(field, {});
    await field.mounted.close();
    expect([reply?.status, codeOf(reply)]).toEqual([500, "authorize_failed"]);
    expect(reply?.body.toString()).not.toMatch(/secret detail|\.ts|node_modules| at /);
  });
}

async function refusedUpstream({ ground, mount }: Field): Promise<void> {
  expect(await messageOf(() => startField(ground, mount))).toContain("KEYWAY_UPSTREAM");
}

async function emulator({ ground, mount }: Field): Promise<void> {
  const { startUpstream } = await import("../../upstream.ts");
  const local = await startUpstream();
  await withVariable("KEYWAY_UPSTREAM", local.url, async () => {
    const field = await startField(ground, mount);
    await ask(field, {});
    await field.mounted.close();
  });
  await local.close();
  expect(local.arrivals.map((arrival) => arrival.values("authorization"))).toEqual([["Key emulator"]]);
}

async function messageOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
  throw new Error("nothing was refused");
}
