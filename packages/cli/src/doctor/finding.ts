import { styleText } from "node:util";

/** What a check found, and what to do about it. */
export interface Finding {
  readonly level: "ok" | "note" | "warning" | "fault" | "skipped";
  readonly text: string;
  readonly mend?: string;
}

/** One question of the doctor. Never rejects. */
export interface Check {
  readonly name: string;
  readonly run: () => Promise<readonly Finding[]>;
}

export function ok(text: string): Finding {
  return { level: "ok", text };
}

export function note(text: string): Finding {
  return { level: "note", text };
}

export function skipped(text: string): Finding {
  return { level: "skipped", text };
}

export function warning(text: string, mend: string): Finding {
  return { level: "warning", text, mend };
}

export function fault(text: string, mend: string): Finding {
  return { level: "fault", text, mend };
}

const colours = { ok: "green", note: "cyan", warning: "yellow", fault: "red", skipped: "gray" } as const;

/** A finding as lines; coloured on a terminal only, and never with `NO_COLOR`. */
export function toLines(name: string, { level, text, mend }: Finding): string {
  const mark = styleText(colours[level], level.padEnd(7), { stream: process.stdout });
  const advice = mend === undefined ? "" : `\n${" ".repeat(19)}mend: ${mend}`;
  return `${mark}  ${name.padEnd(8)}  ${text}${advice}`;
}
