import { createEmulator } from "@keyway/emulator";
import { expect, it } from "vitest";
import { startExample } from "../browser/example.ts";
import { tryWebhook } from "./example-flow.ts";

// Next and SvelteKit take builds of their own: test/conformance/frameworks/examples.test.ts.
it("examples/express is told of a finished job by webhook, once, though 100 copies come", async () => {
  const emulator = createEmulator({ timeScale: 0.1 });
  const { url } = await emulator.listen();
  const example = await startExample("express", { KEYWAY_UPSTREAM: url });
  try {
    const origin = `http://127.0.0.1:${example.port}`;
    const session = await fetch(`${origin}/api/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"user":"ada"}',
    });
    const cookie = session.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    expect(cookie).toMatch(/^session=ada/);
    await tryWebhook({ emulator, origin, cookie, said: example.said });
  } finally {
    await example.close();
    await emulator.close();
  }
});
