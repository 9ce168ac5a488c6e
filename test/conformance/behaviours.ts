import { describe } from "vitest";
import { answerHeaders } from "./behaviours/answer-headers.ts";
import { answers } from "./behaviours/answers.ts";
import { breaking } from "./behaviours/breaking.ts";
import { callers } from "./behaviours/callers.ts";
import { draining } from "./behaviours/draining.ts";
import { eventStreams } from "./behaviours/event-streams.ts";
import { inputs } from "./behaviours/inputs.ts";
import { jobs } from "./behaviours/jobs.ts";
import { leaving } from "./behaviours/leaving.ts";
import { limits } from "./behaviours/limits.ts";
import { money } from "./behaviours/money.ts";
import { origins } from "./behaviours/origins.ts";
import { otherClients } from "./behaviours/other-clients.ts";
import { refusing } from "./behaviours/refusing.ts";
import { requests } from "./behaviours/requests.ts";
import { sockets } from "./behaviours/sockets.ts";
import { streams } from "./behaviours/streams.ts";
import { tokens } from "./behaviours/tokens.ts";
import { leaveNothingOpen } from "./leftovers.ts";
import type { Mount } from "./mount.ts";

/** The one suite: what every mount must do. */
export function behaviours(mount: Mount): void {
  describe(mount.name, () => {
    leaveNothingOpen();
    answers(mount);
    answerHeaders(mount);
    requests(mount);
    streams(mount);
    eventStreams(mount);
    leaving(mount);
    breaking(mount);
    refusing(mount);
    callers(mount);
    origins(mount);
    jobs(mount);
    inputs(mount);
    money(mount);
    limits(mount);
    tokens(mount);
    otherClients(mount);
    draining(mount);
    sockets(mount);
  });
}
