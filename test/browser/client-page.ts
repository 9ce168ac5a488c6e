// What the pages of these tests have besides: the official client, and what Node's tests do with it.
import { createFalClient } from "@fal-ai/client";
import { proxyRealtime, realtimeUrl, tokenProvider } from "@keyway/client";
import { patterns } from "../client/patterns.ts";
import { toBytes } from "./bytes.ts";

const page = { createFalClient, patterns, proxyRealtime, realtimeUrl, toBytes, tokenProvider };

/** The global object of these pages. */
export type ClientPage = typeof page;

Object.assign(globalThis, page);
