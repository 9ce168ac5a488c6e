import { describe, expect, it, onTestFinished, vi } from "vitest";
import { noteKeys, resolveKey } from "./api-key.ts";
import { createLog, scrub } from "./observe.ts";
import { resolveOptions } from "./options.ts";

const key = "0a1b2c3d-key-id:ffeeddccbbaa99887766";
const [id = "", secret = ""] = key.split(":");

describe("scrub", () => {
  it.each([
    key,
    id,
    secret,
    `Key ${key}`,
    encodeURIComponent(key),
    btoa(key),
    btoa(key).replace(/=+$/, ""),
    btoa(secret),
    `${key}${key}`,
    `https://x/?key=${key}&b`,
  ])("takes the key out of %s", (text) => {
    const clean = scrub(`before ${text} after`, [key]);
    expect(clean).toMatch(/^before .*\[redacted\].* after$/);
    for (const part of [key, id, secret, btoa(key).slice(0, 20)]) expect(clean).not.toContain(part);
  });
  it("before it cuts long lines, so that no half is left", () => {
    for (let start = 1950; start <= 2000; start += 1) {
      const clean = scrub("x".repeat(start) + key, [key]);
      expect(clean).not.toMatch(/0a1b|ffee/);
      expect(clean.length).toBeLessThanOrEqual(2000);
    }
  });
  it("lets no text start a line or steer a terminal", () => {
    expect(scrub("a\r\nb\u001b[31mc\u009bd\u2028e\u0000f\tg", [])).toBe("a  b [31mc d e f\tg");
  });
  it("bears any secret", () => {
    for (const one of ["", "short", "пароль-очень-длинный", "日本語".repeat(9), "a:b", ":", "💥".repeat(8)]) {
      expect(() => scrub("text", [one])).not.toThrow();
    }
    expect(scrub("it is пароль-очень-длинный", ["пароль-очень-длинный"])).toBe("it is [redacted]");
    expect(scrub("a short word", ["short"])).toBe("a short word");
  });
});

describe("the log", () => {
  function lines(write: (log: ReturnType<typeof createLog>) => void): string {
    const spies = [vi.spyOn(console, "error"), vi.spyOn(console, "warn")].map((spy) => spy.mockReturnValue());
    write(createLog(() => [key]));
    const text = spies.flatMap((spy) => spy.mock.calls.flat()).join("\n");
    for (const spy of spies) spy.mockRestore();
    return text;
  }
  it("tells causes in one line, without the key", () => {
    const inner = Object.assign(new Error(`connect to ${key} failed`), { code: "ECONNREFUSED" });
    const text = lines((log) => log.error("it failed", new TypeError("fetch failed", { cause: inner })));
    expect(text).toBe(
      "[keyway] it failed: TypeError: fetch failed, because Error: connect to [redacted] failed (ECONNREFUSED)",
    );
  });
  it("bears whatever is thrown", () => {
    const circle = new Error("circle");
    circle.cause = circle;
    for (const cause of [circle, null, Object.create(null), Symbol("x"), 5n, "text", { toString: null }]) {
      expect(lines((log) => log.error("it failed", cause))).toMatch(/^\[keyway\] it failed: /);
    }
  });
  it("knows the keys that a function gives, the latest ones", async () => {
    const noted = new Set<string>();
    const option = noteKeys(({ id: caller }) => `${caller}:${key}`, noted);
    for (let count = 0; count < 40; count += 1) await resolveKey(option, { id: `account-${count}` });
    expect([noted.size, [...noted].at(-1)]).toEqual([16, `account-39:${key}`]);
    vi.stubEnv("FAL_KEY", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    const spy = vi.spyOn(console, "error").mockReturnValue();
    onTestFinished(() => spy.mockRestore());
    const settings = resolveOptions({
      authorize: "public",
      endpoints: "any",
      secret: "s".repeat(16),
      apiKey: () => key,
    });
    await resolveKey(settings.apiKey, { id: "ada" });
    settings.log.error(`it failed with ${key}`);
    expect(spy).toHaveBeenCalledWith("[keyway] it failed with [redacted]");
  });
  it("warns", () => {
    expect(lines((log) => log.warn(`mind ${secret}`))).toBe("[keyway] mind [redacted]");
  });
});
