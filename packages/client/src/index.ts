export { type Job, jobs, type JobsOptions } from "./jobs.ts";
export type { MountOptions } from "./mount.ts";
export { proxyRealtime, type ThroughProxy } from "./proxy-realtime.ts";
export { realtimeUrl, type RealtimeUrlOptions } from "./realtime-url.ts";
export { tokenProvider, type TokenProviderOptions } from "./token-provider.ts";
