import { inspect } from "node:util";
import { ProxyError, createKeyway } from "@keyway/core";
import { mounts } from "../conformance/mounts/all.ts";
import { redirectFal } from "../redirect.ts";
import { canary } from "./canary.ts";

/** Tells where the mounts listen. */
export type Listening = Readonly<Record<string, string>>;

// A process of its own with the key in FAL_KEY and fal's hosts led to a local port: everything it prints is searched.
const [port = "", ca = ""] = process.argv.slice(2);
redirectFal(Number(port), ca);

const started = await Promise.all(
  mounts.map(async (mount) => {
    const mounted = await mount.startMount({
      authorize({ headers }) {
        const who = headers.get("authorization");
        if (who === "Bearer thrower") throw new Error(`no database; FAL_KEY=${canary}`, { cause: { key: canary } });
        return who === null ? null : { id: who };
      },
      endpoints: ["demo/**"],
      maxBodyBytes: 100_000,
      timeouts: { head: 200, runHead: 200, streamIdle: 300, drain: 100 },
      observe(event) {
        console.log(inspect(event), JSON.stringify(event));
        if (event.type === "decision" && event.code === "unauthorized") throw new Error(`observe knows ${canary}`);
      },
    });
    return { name: mount.name, mounted };
  }),
);

/** Prints everything that an app can get hold of, as a developer would in despair. */
function dump(): void {
  const keyway = createKeyway({ authorize: "public", endpoints: "any", apiKey: canary, secret: canary });
  const held: unknown[] = [keyway, ...started.map(({ mounted }) => mounted.held)];
  for (const apiKey of [`${canary}\n`, ` ${canary}`, `Key ${canary}`, `${canary}\u00e9`]) held.push(thrownBy(apiKey));
  held.push(new ProxyError("key_missing", { cause: new Error("inner"), log: "outer" }));
  for (const value of held) {
    console.log(
      inspect(value, { depth: 12, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null }),
    );
    console.log(String(value), JSON.stringify(value), value instanceof Error ? value.stack : "");
  }
}

function thrownBy(apiKey: string): unknown {
  try {
    return createKeyway({ authorize: "public", endpoints: "any", apiKey });
  } catch (error) {
    return error;
  }
}

process.once("message", () => {
  dump();
  void Promise.all(started.map(({ mounted }) => mounted.close())).then(() => process.disconnect());
});
process.send?.(Object.fromEntries(started.map(({ name, mounted }) => [name, mounted.url])));
