import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { tryPage } from "./page.ts";
import { token } from "./answers.ts";

tryPage("express");

describe("the page's build", () => {
  it("holds neither key nor token, and asks for neither", async () => {
    const folder = join(import.meta.dirname, "../../examples/express/dist");
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.\w+$/.test(name));
    expect(names.filter((name) => name.endsWith(".js")).length).toBeGreaterThan(0);
    for (const name of names) {
      const text = await readFile(join(folder, name), "utf8");
      expect(text).not.toMatch(token);
      expect(text, name).not.toMatch(/\bKey [\w-]{8,}:/);
    }
  });
});
