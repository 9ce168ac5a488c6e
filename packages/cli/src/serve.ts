import { type Keyway, type KeywayOptions, createKeyway } from "@keyway/core";
import { toListenError } from "@keyway/emulator/command";
import { loadConfig } from "./config.ts";
import { describeSettings, readArguments } from "./flags.ts";
import { type Gateway, createGateway } from "./gateway.ts";
import { type GatewaySettings, resolveGateway } from "./gateway-settings.ts";
import { serveSettings } from "./serve-settings.ts";
import { chooseMode } from "./mode.ts";
import { openSharedStore } from "./shared-store.ts";

const settings = Object.values(serveSettings);

const help = `keyway serve: a gateway to fal.ai that holds the key

  keyway serve [flags]

Each setting is a flag, a variable of the environment, or a field of the config file; they count in this order.
Who may call, what may be called and the store may be stated in one place only.

${describeSettings(settings)}

It runs in production mode. With --dev the Host header is believed where it is private, and KEYWAY_UPSTREAM leads to a local emulator.

It answers /healthz (the process lives) and /readyz (calls would be let in), and every call below its mount, WebSockets too.

SIGTERM or SIGINT: no new calls, open ones end, exit 0. A second one ends at once.

Exit codes: 0 ended by a signal, 1 it could not listen, 2 a setting is missing or wrong, 130 or 143 ended by a second signal.`;

/** Answers the exit code as soon as the gateway listens, or does not. */
export async function serve(args: readonly string[]): Promise<0 | 1> {
  const read = readArguments(args, settings);
  if (read.help) {
    console.log(help);
    return 0;
  }
  chooseMode(read.isOn(serveSettings.dev));
  const resolved = resolveGateway(read, await loadConfig(read.given(serveSettings.config)));
  const { gateway, closeStore } = await build(resolved);
  try {
    console.log(`Keyway's gateway is at ${await gateway.listen()}`);
  } catch (error) {
    console.error(toListenError(error, resolved, "The gateway"));
    closeStore();
    return 1;
  }
  endOnSignal(gateway);
  return 0;
}

async function build(resolved: GatewaySettings): Promise<{ gateway: Gateway; closeStore: () => void }> {
  const { options, redisUrl } = resolved;
  const shared = redisUrl === undefined ? undefined : await openSharedStore(redisUrl, options.namespace);
  const closeStore = (): void => shared?.close();
  try {
    const keyway = createKeyway(shared === undefined ? options : { ...options, store: shared.store });
    const gateway = createGateway(keyway, resolved);
    tell(keyway, options);
    return { gateway, closeStore };
  } catch (error) {
    closeStore();
    throw error;
  }
}

/** What `check()` finds, in the words of the command line. */
function tell(keyway: Keyway, { limits }: KeywayOptions): void {
  const { production } = keyway.transport;
  if (!production) console.error("[keyway] development mode: for this machine only, not for strangers");
  for (const { level, option, message } of keyway.check()) {
    if (option === "upstream") console.log(message);
    if (level === "info") continue;
    if (option === "publicUrl") console.error(noPublicUrl);
    else if (option !== "limits.global.budget") console.error(`[keyway] ${option}: ${message}`);
    else if (limits?.global?.requests === undefined)
      console.error(production ? "[keyway] such a cap as a flag: --daily-requests 1000" : noCap);
  }
}

const noPublicUrl =
  "[keyway] no public URL is stated, so callers with cookies, WebSockets of pages and submits in path form are refused. Add it: --public-url https://fal.example/api/fal/proxy, or --dev to try it on this machine";
/** In production Keyway itself says it. */
const noCap = "[keyway] no cap for all callers together is stated. Add one: --daily-requests 1000";

const signals = { SIGINT: 130, SIGTERM: 143 } as const;

/** The first signal drains; the second does not wait. A config file may hold what keeps the process alive, so it is ended. */
function endOnSignal(gateway: Gateway): void {
  let closing = false;
  const end = async (): Promise<void> => {
    console.log("Closing when open calls have ended. A second signal does not wait.");
    const { finished, cut } = await gateway.close();
    console.log(`Closed: ${finished} calls ended, ${cut} were cut off.`);
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (closing) process.exit(signals[signal]);
      closing = true;
      void end();
    });
  }
}
