import { createEmulator } from "@keyway/emulator";
import { afterAll, beforeAll } from "vitest";

/** An emulator for the tests of one file; its URL is known when they run. */
export function useEmulator(): { readonly url: string } {
  const emulator = createEmulator({ timeScale: 0 });
  const told = { url: "" };
  beforeAll(async () => {
    told.url = (await emulator.listen({ port: 0 })).url;
  });
  afterAll(() => emulator.close());
  return told;
}
