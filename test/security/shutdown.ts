// A server of its own process for the row about SIGTERM: argv is the mount, upstream's port, and the authority in base64.
import { mounts } from "../conformance/mounts/all.ts";
import { frameworks } from "../conformance/mounts/frameworks.ts";
import { redirectFalHosts } from "./fal-hosts.ts";

const [name = "", port = "", authority = ""] = process.argv.slice(2);
const mount = [...mounts, ...frameworks].find((one) => one.name === name);
if (mount === undefined) throw new Error(`there is no mount ${name}`);
redirectFalHosts(Buffer.from(authority, "base64").toString()).lead("fal.run", Number(port));

const mounted = await mount.startMount({
  authorize: ({ headers }) => (headers.has("authorization") ? { id: "ada" } : null),
  endpoints: ["demo/**"],
  timeouts: { drain: 5000 },
});
process.once("SIGTERM", () => void mounted.close().then(() => process.exit()));
process.stdout.write(`${new URL(mounted.url).port}\n`);
