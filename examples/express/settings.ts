/** The environment, read and checked once. Empty counts as unset; a mistake ends the process with one sentence. */
export const settings = {
  port: readPort(process.env["PORT"] || "3000"),
  host: process.env["HOST"] || "127.0.0.1",
  /** Where browsers find this app, such as `https://app.example`: the origin of the proxy's URL. */
  publicOrigin: readOrigin(process.env["PUBLIC_URL"]),
  /** Where else callers may have results sent by a `fal_webhook` of their own. */
  webhookOrigins: process.env["WEBHOOK_ORIGINS"]?.split(","),
  /** A local emulator to call in place of fal.ai. */
  upstreamUrl: readLoopback(process.env["KEYWAY_UPSTREAM"]),
  hasKey: Boolean(process.env["FAL_KEY"] || (process.env["FAL_KEY_ID"] && process.env["FAL_KEY_SECRET"])),
  isProduction: process.env["NODE_ENV"] === "production",
  isDevelopingPage: process.argv.includes("--dev"),
} as const;

/** Says what is wrong and leaves. */
export function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function readPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  return fail(`PORT takes a number from 0 to 65535, not "${text}".`);
}

function readOrigin(text: string | undefined): string | undefined {
  if (!text) return undefined;
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return new URL(text).origin;
  return fail(`PUBLIC_URL takes the proxy's URL, such as https://app.example/api/fal/proxy, not "${text}".`);
}

function readLoopback(text: string | undefined): string | undefined {
  if (!text) return undefined;
  const isLoopback = /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?\/?$/.test(text);
  if (isLoopback && URL.canParse(text)) return new URL(text).origin;
  return fail(`KEYWAY_UPSTREAM takes a loopback address such as http://127.0.0.1:4100, not "${text}".`);
}
