export { type ExpressProxy, createHandler } from "./handler.ts";
export * from "@keyway/core";
export type { Drained } from "@keyway/node";
