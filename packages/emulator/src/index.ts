export { createEmulator, type Emulator, type Listening } from "./emulator.ts";
export type { EmulatorOptions } from "./options.ts";
export type { App, AppContext, LogLevel } from "./app.ts";
export { reply, type Reply, type ReplyOptions } from "./reply.ts";
export type { HeaderLine } from "./answer.ts";
export type { CallKind } from "./call.ts";
export type { CallEnd, RecordedCall } from "./calls.ts";
export type { Fault, Faults } from "./faults.ts";
export type { InfrastructureError, NamedError } from "./errors.ts";
