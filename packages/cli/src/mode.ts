/**
 * Production unless it is asked to be tried, whatever else `NODE_ENV` says: a gateway that listens on loopback may well stand behind a
 * proxy that strangers reach. Keyway, the config file and what it imports read it from the environment.
 */
export function chooseMode(isTried: boolean): void {
  const mode = isTried || process.env["NODE_ENV"] === "development" ? "development" : "production";
  process.env["NODE_ENV"] = mode;
}
