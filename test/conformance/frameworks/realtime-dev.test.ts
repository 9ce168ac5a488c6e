import { createEmulator } from "@keyway/emulator";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { describeInBrowser } from "../../browser/browser.ts";
import { type Example, startExample } from "../../browser/example.ts";
import { type FalRun, startFalRun } from "../../browser/fal-run.ts";
import { tryByToken, tryProxied } from "../../browser/live.ts";
import { drivePlayground } from "../../browser/playground.ts";
import { canary } from "../../secrets/canary.ts";

const emulator = createEmulator({ timeScale: 0 });
let falRun: FalRun;

async function lead(): Promise<readonly FalRun[]> {
  falRun = await startFalRun(emulator);
  return [falRun];
}

describeInBrowser("real time while an example is being developed", lead, (browser) => {
  let url: string;
  beforeAll(async () => {
    ({ url } = await emulator.listen());
  });
  afterAll(async () => {
    await falRun.close();
    await emulator.close();
  });

  describe.each(["nextjs", "sveltekit"] as const)("examples/%s --dev", (name) => {
    let example: Example;
    beforeAll(async () => {
      example = await startExample(name, { KEYWAY_UPSTREAM: url, FAL_KEY: canary }, ["--dev"]);
    }, 60_000);
    afterAll(() => example.close());

    it("through the proxy, then by token", { timeout: 180_000 }, async () => {
      const context = await browser().newContext({ reducedMotion: "reduce" });
      onTestFinished(() => context.close());
      const playground = drivePlayground(await context.newPage());
      playground.page.setDefaultTimeout(90_000); // each route is compiled when it is first asked for
      const origin = `http://127.0.0.1:${example.port}`;
      await playground.page.goto(origin);
      await playground.signIn("ada");
      await tryProxied(playground, origin);
      await playground.page.reload();
      await tryByToken(playground);
      expect(playground.problems()).toEqual([]);
    });
  });
});
