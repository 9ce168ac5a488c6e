import type { Admitted, Allowance, Balance, OpenJob, Settled } from "@keyway/core";

export function toValue(answer: unknown): string | null {
  return answer === null ? null : toText(answer);
}

export function toAdmitted(answer: unknown): Admitted {
  const [head, ...rest] = toList(answer);
  const why = toText(head);
  switch (why) {
    case "ok":
      return { ok: true, allowances: toAllowances(rest) };
    case "paused":
      return { ok: false, why };
    case "recall":
      return { ok: false, why, value: toText(rest[0]) };
    case "rate":
      return { ok: false, why, key: toText(rest[0]), retryAfterMs: toNumber(rest[1]) };
    case "slots":
    case "budget":
      return { ok: false, why, key: toText(rest[0]) };
    default:
      throw unknownAnswer();
  }
}

function toAllowances(flat: readonly unknown[]): Allowance[] {
  return inGroups(flat, 2).map(([remaining, resetMs]) => ({
    remaining: toNumber(remaining),
    resetMs: toNumber(resetMs),
  }));
}

export function toSettled(answer: unknown): Settled | null {
  if (answer === null) return null;
  const [micros, note] = toList(answer);
  return { micros: toNumber(micros), note: note === null ? undefined : toText(note) };
}

export function toChange(answer: unknown): number | null {
  return answer === null ? null : toNumber(toList(answer)[0]);
}

export function toBalances(answer: unknown, count: number): Balance[] {
  const balances = inGroups(toList(answer), 2).map(([spent, reserved]) => ({
    spent: toNumber(spent),
    reserved: toNumber(reserved),
  }));
  if (balances.length !== count) throw unknownAnswer();
  return balances;
}

export function toOpenJobs(answer: unknown): OpenJob[] {
  return inGroups(toList(answer), 3).map(([job, note, since]) => ({
    job: toText(job),
    note: toText(note),
    since: toNumber(since),
  }));
}

function inGroups(flat: readonly unknown[], size: number): (readonly unknown[])[] {
  return Array.from({ length: Math.ceil(flat.length / size) }, (_, at) => flat.slice(at * size, (at + 1) * size));
}

/** Answers that the script never gives: another script stands under its name, or something between has changed them. */
function unknownAnswer(): Error {
  return new Error("Redis gave an answer that this store does not know");
}

function toList(answer: unknown): readonly unknown[] {
  if (!Array.isArray(answer)) throw unknownAnswer();
  return answer;
}

function toText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  throw unknownAnswer();
}

function toNumber(value: unknown): number {
  const number = typeof value === "number" ? value : Number(toText(value));
  if (!Number.isSafeInteger(number)) throw unknownAnswer();
  return number;
}
