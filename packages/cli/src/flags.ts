import { invalidOption } from "@keyway/core";
import { parseArgs } from "node:util";
import { messageOf } from "./thrown.ts";

/** One setting that can be given on the command line or in the environment. Secrets have no flag: other users can read command lines. */
export interface Setting {
  readonly flag?: string;
  /** Names in the environment; the first that is set counts. */
  readonly env: readonly string[];
  /** What stands for the value in the help; a flag without one is a switch. */
  readonly value?: string;
  readonly help: string;
}

/** Reads a setting: the flag, else the environment, else undefined; empty counts as unset. */
type Given = (setting: Setting) => string | undefined;

/** What was given to a command. */
export interface Arguments {
  readonly given: Given;
  readonly isOn: (setting: Setting) => boolean;
  readonly positionals: readonly string[];
  readonly help: boolean;
}

/** Reads a command's arguments by its settings; what is not among them is refused. */
export function readArguments(args: readonly string[], settings: readonly Setting[], positionals = 0): Arguments {
  const flags = settings.flatMap(({ flag, value }) => (flag === undefined ? [] : [[flag, value] as const]));
  const parsed = parse(args, {
    ...Object.fromEntries(flags.map(([flag, value]) => [flag, { type: value === undefined ? "boolean" : "string" }])),
    help: { type: "boolean", short: "h" },
  });
  if (parsed.positionals.length > positionals)
    throw invalidOption(`"${parsed.positionals[positionals]}" is one word too many: --help says what can be given`);
  const given: Given = ({ flag, env }) => {
    const onLine = flag === undefined ? undefined : parsed.values[flag];
    return typeof onLine === "string" && onLine !== ""
      ? onLine
      : env.map((name) => process.env[name]).find((text) => (text ?? "") !== "");
  };
  const isOn = (setting: Setting): boolean =>
    (setting.flag !== undefined && parsed.values[setting.flag] === true) || isTrue(setting, given(setting));
  return { given, isOn, positionals: parsed.positionals, help: parsed.values["help"] === true };
}

interface Parsed {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

function parse(
  args: readonly string[],
  options: Record<string, { type: "boolean" | "string"; short?: string }>,
): Parsed {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true }) as Parsed;
  } catch (error) {
    throw invalidOption(`${messageOf(error).split(/[.\n]/, 1)[0]}: --help says what can be given`);
  }
}

function isTrue({ env: [name] }: Setting, text: string | undefined): boolean {
  if (text === undefined || text === "0" || text === "false") return false;
  if (text === "1" || text === "true") return true;
  throw invalidOption(`${name} is a switch: write ${name}=1, or leave it out`);
}

/** The settings as lines of a help text. */
export function describeSettings(settings: readonly Setting[]): string {
  const rows = settings.map(({ flag, env, value, help }) => {
    const name = flag === undefined ? "" : `--${flag}${value === undefined ? "" : ` ${value}`}`;
    return [name, env.join(", "), help] as const;
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  return rows
    .map(([flag, env, help]) => `  ${flag.padEnd(widths[0] ?? 0)}  ${env.padEnd(widths[1] ?? 0)}  ${help}`)
    .join("\n");
}

/** A comma-separated list without empty places. */
export function toList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
