import type { App } from "../app.ts";
import { echo } from "./echo.ts";
import { fail } from "./fail.ts";
import { image } from "./image.ts";
import { realtime } from "./realtime.ts";
import { slow } from "./slow.ts";
import { stream } from "./stream.ts";

/** The name of a demo app. */
export type DemoName =
  | "demo/echo"
  | "demo/image"
  | "demo/poster"
  | "demo/stream"
  | "demo/slow"
  | "demo/fail"
  | "demo/realtime";

/** The apps that every emulator has. */
export const demos: Readonly<Record<DemoName, App>> = {
  "demo/echo": echo,
  "demo/image": image,
  "demo/poster": image,
  "demo/stream": stream,
  "demo/slow": slow,
  "demo/fail": fail,
  "demo/realtime": realtime,
};
