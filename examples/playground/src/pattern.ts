import type { FalClient } from "@fal-ai/client";
import type { Logs } from "./logs.ts";
import type { Pictures } from "./pictures.ts";
import type { Timeline } from "./timeline.ts";
import type { UsageReader } from "./usage.ts";

/** Which endpoints the forms start with. */
export interface Endpoints {
  readonly image: string;
  /** One that has a price in the example. */
  readonly priced: string;
  readonly slow: string;
  readonly stream: string;
  readonly withPicture: string;
  readonly realtime: string;
  /** One that fails as its input says; the emulator has it. */
  readonly failing: string | undefined;
  readonly all: readonly string[];
}

/** What a pattern is made with. */
export interface PatternContext {
  readonly fal: FalClient;
  readonly endpoints: Endpoints;
  /** True when the local emulator answers for fal.ai. */
  readonly emulator: boolean;
  /** The lines that make the client, as they stand above every example. */
  readonly client: string;
  /** Keyway's mount. */
  readonly proxyUrl: string;
  readonly usage: UsageReader;
  /** Makes this user the one who is signed in. */
  readonly signInAs: (user: string) => Promise<void>;
}

/** Where an action shows what happens. */
export interface Stage {
  /** Aborted when the user presses Stop. */
  readonly signal: AbortSignal;
  readonly timeline: Timeline;
  readonly logs: Logs;
  readonly pictures: Pictures;
  /** Tells the user something in words. */
  readonly say: (text: string) => void;
  /** Shows an answer: its pictures, and the whole of it as JSON. */
  readonly show: (data: unknown, requestId?: string) => void;
}

/** One button of a pattern. */
export interface Action {
  readonly label: string;
  /** Goes on with what the stage shows, in place of starting afresh. */
  readonly continues?: boolean;
  run(stage: Stage): Promise<void>;
}

/** One way of calling fal.ai: a page of the playground. */
export interface Pattern {
  /** Name in the page's address. */
  readonly id: string;
  readonly title: string;
  /** When to call this way, in a sentence or two. */
  readonly summary: string;
  readonly fields: readonly HTMLElement[];
  /** The first is the main one. */
  readonly actions: readonly Action[];
  /** What it shows of its own in the response, below what every pattern has. */
  readonly readout?: HTMLElement;
  /** The client code that does what the form says now. */
  code(): string;
}

/** Makes one pattern for one mounted playground. */
export type CreatePattern = (context: PatternContext) => Pattern;
