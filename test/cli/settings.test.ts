import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { listenOnFreePort } from "../upstream.ts";
import { selfSigned } from "../certificates.ts";
import { type Surroundings, key, settings, start, token } from "./command.ts";

type Row = readonly [what: string, args: readonly string[], code: number, says: RegExp, surroundings?: Surroundings];

const { key: privateKey, cert } = selfSigned(["localhost"]);
const withConfig = (text: string, name = "keyway.config.ts"): Surroundings => ({
  env: { FAL_KEY: key, KEYWAY_PORT: "0" },
  files: { [name]: text },
});

const rows: readonly Row[] = [
  ["no command", [], 2, /keyway serve .*\n\s+keyway emulator .*\n\s+keyway doctor /],
  ["an unknown command", ["serv"], 2, /^Keyway: there is no command serv: there are serve, emulator and doctor\.\n$/],
  ["--help", ["--help"], 0, /Exit codes: 0 fine/],
  ["serve --help", ["serve", "--help"], 0, /KEYWAY_TOKEN .*Exit codes: 0 ended by a signal/s],
  ["doctor --help", ["doctor", "--help"], 0, /FAL_KEY .*--online .*Exit codes: 0 no fault/s],
  ["emulator --help", ["emulator", "--help"], 0, /^keyway emulator: a local fal\.ai.*Exit codes: 0 /s],
  ["--version", ["--version"], 0, /^\d+\.\d+\.\d+\n$/],
  ["-v", ["-v"], 0, /^\d+\.\d+\.\d+\n$/],
  [
    "no key",
    ["serve"],
    2,
    /^Keyway: there is no key\. Add a line to the environment: FAL_KEY=<key id>:<key secret>\.\n$/,
  ],
  [
    "no token",
    ["serve"],
    2,
    /^Keyway: nobody may call yet\. Add a line .*: KEYWAY_TOKEN=.*\n$/,
    { env: { FAL_KEY: key } },
  ],
  [
    "no endpoints",
    ["serve"],
    2,
    /^Keyway: nothing may be called yet\. Add a line to the environment: KEYWAY_ENDPOINTS=fal-ai\/flux\/\*\*\.\n$/,
    { env: { FAL_KEY: key, KEYWAY_TOKEN: token } },
  ],
  [
    "an emulator in production",
    ["serve"],
    2,
    /^Keyway: KEYWAY_UPSTREAM leads to an emulator, and in production .*: add --dev, or take .*\n$/,
    { env: { ...settings, KEYWAY_UPSTREAM: "http://127.0.0.1:4100" } },
  ],
  [
    "everybody without a cap",
    ["serve"],
    2,
    /^Keyway: authorize: "public" lets everybody spend\. In production state a cap .*\n$/,
    withConfig('export default { authorize: "public", endpoints: ["demo/**"] };'),
  ],
  [
    "certificates that nobody looks at",
    ["serve"],
    2,
    /Keyway: NODE_TLS_REJECT_UNAUTHORIZED=0 turns certificate checks off: .*\n$/,
    { env: { ...settings, NODE_TLS_REJECT_UNAUTHORIZED: "0" } },
  ],
  [
    "a broken key",
    ["serve"],
    2,
    /^Keyway: FAL_KEY has white space .*\n$/,
    { env: { ...settings, FAL_KEY: `${key} ` } },
  ],
  [
    "a short token",
    ["serve"],
    2,
    /^Keyway: KEYWAY_TOKEN takes .* openssl .*\n$/,
    { env: { ...settings, KEYWAY_TOKEN: "s3cret" } },
  ],
  ["a wrong flag", ["serve", "--prt", "1"], 2, /^Keyway: Unknown option '--prt': --help .*\n$/, { env: settings }],
  ["a word too many", ["serve", "now"], 2, /^Keyway: "now" is one word too many: .*\n$/, { env: settings }],
  [
    "a wrong port",
    ["serve", "--port", "many"],
    2,
    /^Keyway: --port takes a number from 0 to 65535, not "many"\.\n$/,
    { env: settings },
  ],
  [
    "a wrong cap",
    ["serve", "--daily-requests", "lots"],
    2,
    /^Keyway: --daily-requests \(KEYWAY_DAILY_REQUESTS\) takes a number.*\n$/,
    { env: settings },
  ],
  [
    "money without prices",
    ["serve", "--daily-usd", "5"],
    2,
    /^Keyway: a budget needs a price .*\n$/,
    { env: settings },
  ],
  [
    "a wrong switch",
    ["serve"],
    2,
    /^Keyway: KEYWAY_LOG is a switch: .*\n$/,
    { env: { ...settings, KEYWAY_LOG: "yes" } },
  ],
  ["a wrong mount", ["serve", "--mount", "api fal"], 2, /^Keyway: --mount takes a plain path .*\n$/, { env: settings }],
  ["a wrong public URL", ["serve", "--public-url", "app.example"], 2, /^Keyway: publicUrl is .*\n$/, { env: settings }],
  [
    "a wrong origin",
    ["serve", "--origins", "https://a.example/x"],
    2,
    /^Keyway: origins lists .*\n$/,
    { env: settings },
  ],
  ["half of TLS", ["serve", "--tls-cert", "a.pem"], 2, /^Keyway: TLS takes two files: .*\n$/, { env: settings }],
  [
    "an unreadable file",
    ["serve", "--tls-cert", "a.pem", "--tls-key", "b.pem"],
    2,
    /^Keyway: --tls-cert: a\.pem cannot be read \(ENOENT\)\. .*\n$/,
    { env: settings },
  ],
  [
    "TLS files that do not fit",
    ["serve", "--tls-cert", "key.pem", "--tls-key", "cert.pem"],
    2,
    /^Keyway: the TLS files do not fit .*\n$/m,
    { env: settings, files: { "key.pem": privateKey, "cert.pem": cert } },
  ],
  ["no such config", ["serve", "--config", "a.ts"], 2, /^Keyway: there is no file a\.ts\. .*\n$/, { env: settings }],
  [
    "a config without a default",
    ["serve"],
    2,
    /^Keyway: keyway\.config\.mjs has no default export\. .*\n$/,
    withConfig("export const a = 1;", "keyway.config.mjs"),
  ],
  [
    "a config that is no code",
    ["serve"],
    2,
    /^Keyway: keyway\.config\.js could not be loaded .*\n$/,
    withConfig("export default {", "keyway.config.js"),
  ],
  [
    "a config with an enum",
    ["serve"],
    2,
    /^Keyway: keyway\.config\.ts has TypeScript that makes code, .*\n$/,
    withConfig("enum A { b }\nexport default {};"),
  ],
  [
    "a config with an unknown option",
    ["serve"],
    2,
    /^Keyway: there is no option endpoint: did you mean endpoints\?\.?\n$/,
    withConfig('export default { authorize: () => null, endpoints: [], endpoint: "x" };'),
  ],
  [
    "two answers to who",
    ["serve"],
    2,
    /^Keyway: who may call is stated twice: .*\n$/,
    { ...withConfig("export default { authorize: () => null };"), env: settings },
  ],
  [
    "two answers to what",
    ["serve"],
    2,
    /^Keyway: what may be called is stated twice: take out KEYWAY_ENDPOINTS or --endpoints, or endpoints of .*\n$/,
    { ...withConfig('export default { endpoints: { "demo/echo": { price: { perCall: 1 } } } };'), env: settings },
  ],
  [
    "no Redis URL",
    ["serve"],
    2,
    /^Keyway: KEYWAY_REDIS_URL is the URL of a Redis: .*\n$/,
    { env: { ...settings, KEYWAY_REDIS_URL: "redis.internal:6379" } },
  ],
  [
    "a wrong time to settle",
    ["serve"],
    2,
    /^Keyway: settleEvery is milliseconds, 24 days at most: .*\n$/,
    withConfig('export default { authorize: () => null, endpoints: [], settleEvery: "often" };'),
  ],
  [
    "a time to settle that Node cannot wait for",
    ["serve"],
    2,
    /^Keyway: settleEvery is milliseconds, 24 days at most: .*\n$/,
    withConfig("export default { authorize: () => null, endpoints: [], settleEvery: Number.POSITIVE_INFINITY };"),
  ],
  [
    "an address that is empty on the line and stated in the environment",
    ["serve", "--host", ""],
    1,
    /^192\.0\.2\.1 is no address of this machine\. .*\n$/m,
    { env: { ...settings, KEYWAY_HOST: "192.0.2.1" } },
  ],
  [
    "an address of another machine",
    ["serve", "--host", "192.0.2.1"],
    1,
    /^192\.0\.2\.1 is no address of this machine\. .*\n$/m,
    { env: settings },
  ],
  ["emulator --port many", ["emulator", "--port", "many"], 2, /--port takes a number/],
  ["a wrong URL for the doctor", ["doctor", "app.example"], 2, /^Keyway: --url takes a whole URL: .*\n$/],
];

describe("what is missing or wrong is one line that names the mend", () => {
  it.concurrent.for(rows)("%s", async ([, args, code, says, surroundings], { onTestFinished: onFinished }) => {
    const { exit, said } = start(args, { ...surroundings, onFinished });
    expect(await exit).toEqual({ code, signal: null });
    expect(said()).toMatch(says);
    expect(said()).not.toMatch(/fal-key-secret|token-0123|s3cret|\u001b/);
  });

  it("a taken port", async () => {
    const server = createServer();
    const port = await listenOnFreePort(server);
    const { exit, said } = start(["serve", "--port", String(port)], { env: settings });
    expect((await exit).code).toBe(1);
    expect(said()).toContain(`Port ${port} of 127.0.0.1 is taken. Free it, or choose another: --port ${port + 1}\n`);
    await new Promise((resolve) => server.close(resolve));
  });
});
