export { type Drained, type NodeProxy, createNodeProxy } from "./proxy.ts";
export type { HandleContext } from "./http.ts";
export * from "@keyway/core";
