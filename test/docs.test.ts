import { existsSync, readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const pages = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter(
    (path) =>
      path !== "" && !path.startsWith(".changeset/") && !path.endsWith("CHANGELOG.md") && existsSync(join(root, path)),
  );
const manifest: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

describe.each(pages)("%s", (page) => {
  const text = readFileSync(join(root, page), "utf8");

  it("links to files that exist", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] ?? "")
      .filter((link) => !link.includes("://"));
    expect(links.filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([]);
  });

  it("links to headings that exist", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]*)#([^)\s]+)\)/g)].filter(([, path = ""]) => !path.includes("://"));
    const missing = links.filter(([, path = "", name = ""]) => {
      const there = path === "" ? text : readFileSync(join(root, dirname(page), path), "utf8");
      return !headingsOf(there).includes(name);
    });
    expect(missing.map(([link]) => link)).toEqual([]);
  });

  it("names paths of this repository that exist", () => {
    const paths = [...text.matchAll(/`((?:packages|examples|test|docs)\/[\w./-]+)`/g)].map((match) => match[1] ?? "");
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it("names npm scripts that exist", () => {
    const scripts = [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map(
      (match) => match[1] ?? match[2] ?? "",
    );
    expect(scripts.filter((script) => manifest.scripts[script] === undefined)).toEqual([]);
  });
});

it("README.md leads to every page and package", () => {
  const index = readFileSync(join(root, "README.md"), "utf8");
  const linked = (page: string): boolean => index.includes(`](${page})`);
  const wanted = pages.filter((page) => /^(?:docs\/|packages\/[^/]+\/README|examples\/README|[A-Z]+\.md$)/.test(page));
  expect(wanted.length).toBeGreaterThan(15);
  expect(wanted.filter((page) => page !== "README.md" && !linked(page))).toEqual([]);
});

it("CONTRIBUTING.md lists every way to test", () => {
  const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
  const scripts = Object.keys(manifest.scripts).filter((name) => /^(?:test:|bench$|conformance$|check$)/.test(name));
  expect(scripts.filter((name) => !new RegExp(`npm run ${name}(?![\\w:-])`).test(text))).toEqual([]);
});

it("a package's README is at most 80 lines long", () => {
  const long = pages.filter((page) => /^packages\/[^/]+\/README\.md$/.test(page) && lengthOf(page) > 80);
  expect(long).toEqual([]);
});

function lengthOf(page: string): number {
  return readFileSync(join(root, page), "utf8").trimEnd().split("\n").length;
}

/** As GitHub makes a heading's fragment. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
