import { describe } from "vitest";
import { answerHeaders } from "./behaviours/answer-headers.ts";
import { answers } from "./behaviours/answers.ts";
import { breaking } from "./behaviours/breaking.ts";
import { leaving } from "./behaviours/leaving.ts";
import { requests } from "./behaviours/requests.ts";
import { streams } from "./behaviours/streams.ts";
import type { Mount } from "./mount.ts";

/** The one suite: what every mount must do. */
export function behaviours(mount: Mount): void {
  describe(mount.name, () => {
    answers(mount);
    answerHeaders(mount);
    requests(mount);
    streams(mount);
    leaving(mount);
    breaking(mount);
  });
}
