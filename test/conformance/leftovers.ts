import { afterAll, expect, vi } from "vitest";

/** Fails a test file that leaves a server or a connection open. */
export function leaveNothingOpen(): void {
  afterAll(() =>
    vi.waitFor(() => {
      const open = process.getActiveResourcesInfo().filter((name) => /^(?:TCP|TLS)/.test(name));
      expect(open).toEqual([]);
    }, 5000),
  );
}
