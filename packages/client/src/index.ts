export type { MountOptions } from "./mount.ts";
export { realtimeUrl, type RealtimeUrlOptions } from "./realtime-url.ts";
