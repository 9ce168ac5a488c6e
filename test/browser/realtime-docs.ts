import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bundlePage } from "./bundle.ts";

const page = `export const show = (result) => void (globalThis.shown = result);
export const tell = (error) => void (globalThis.told = String(error));
`;

/** What docs/real-time.md shows for pages: the name of each block and its script, as an app's build would make it. */
export async function bundleDocs(): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(import.meta.dirname, "../../docs/real-time.md"), "utf8");
  const blocks = [...text.matchAll(/```ts\n\/\/ (\S+)\n([^]*?)```/g)].filter(([block]) =>
    block.includes('"./page.ts"'),
  );
  const folder = await mkdtemp(join(import.meta.dirname, "docs-"));
  try {
    await writeFile(join(folder, "page.ts"), page);
    const scripts = new Map<string, string>();
    for (const [, name = "", code = ""] of blocks) {
      await writeFile(join(folder, name), code);
      scripts.set(name, await bundlePage(join(folder, name)));
    }
    return scripts;
  } finally {
    await rm(folder, { recursive: true });
  }
}
