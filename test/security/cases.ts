import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Mount } from "../conformance/mount.ts";
import { type Field, type Ground, prepareGround, startField } from "./ground.ts";
import { type Play, type Row, playRow, submitJob } from "./row.ts";
import { answerRows } from "./rows/answers.ts";
import { bodyRows } from "./rows/bodies.ts";
import { configurationRows } from "./rows/configuration.ts";
import { loadRows } from "./rows/load.ts";
import { logRows } from "./rows/log.ts";
import { methodRows } from "./rows/methods.ts";
import { requestHeaderRows } from "./rows/request-headers.ts";
import { shutdownRows } from "./rows/shutdown.ts";
import { streamRows } from "./rows/streams.ts";
import { targetRows } from "./rows/target.ts";

const groups: Readonly<Record<string, { readonly least: number; readonly rows: readonly (Row | Play)[] }>> = {
  "target URL": { least: 60, rows: targetRows },
  methods: { least: 8, rows: methodRows },
  "request headers": { least: 35, rows: requestHeaderRows },
  bodies: { least: 24, rows: bodyRows },
  answers: { least: 50, rows: answerRows },
  streams: { least: 5, rows: streamRows },
  load: { least: 3, rows: loadRows },
  configuration: { least: 6, rows: configurationRows },
  shutdown: { least: 1, rows: shutdownRows },
  log: { least: 2, rows: logRows },
};

const total = Object.values(groups).reduce((sum, { rows }) => sum + rows.length, 0);
/** Every attack, on each of these mounts. */
export function attack(mounts: readonly Mount[]): void {
  let ground: Ground;

  beforeAll(async () => {
    ground = await prepareGround();
  });

  afterAll(async () => {
    const { deaths, watch } = ground;
    await ground.close();
    process.stdout.write(
      `security: ${total} cases on ${mounts.length} mounts, ${deaths.length} deaths, ${watch.sightings} key bytes\n`,
    );
  });

  it.each(Object.entries(groups))("%s has as many rows as promised", (_name, { least, rows }) => {
    expect(rows.length).toBeGreaterThanOrEqual(least);
    expect(new Set(rows.map(({ what }) => what)).size).toBe(rows.length);
  });

  describe.each(mounts)("$name", (mount) => {
    let field: Field;

    beforeAll(async () => {
      field = await startField(ground, mount);
      await submitJob(field);
    });

    afterAll(async () => {
      await field.mounted.close();
    });

    for (const [name, { rows }] of Object.entries(groups)) {
      describe(name, () => {
        for (const [index, row] of rows.entries()) {
          it(`${String(index + 1).padStart(2, "0")} ${row.what}`, () => playRow(seenBy(mount, name, row), field));
        }
      });
    }
  });

  it("nothing died, and no caller and no log ever saw the key", () => {
    const { deaths, watch, log } = ground;
    expect(deaths).toEqual([]);
    expect(watch.looked).toBeGreaterThan(0);
    expect(watch.sightings).toBe(0);
    expect(watch.count(log.join("\n"))).toBe(0);
  });
}

/** The row as it must end where the mount's framework answers before the proxy is asked. */
function seenBy({ answersItself }: Mount, group: string, row: Row | Play): Row | Play {
  const status = answersItself?.[`${group}: ${row.what}`];
  return status === undefined || "play" in row ? row : { ...row, expect: { status, up: 0 } };
}
