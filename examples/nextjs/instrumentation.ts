/** Next runs this once before the server takes requests; on the edge runtime there is no server to attach to. */
export async function register(): Promise<void> {
  if (process.env["NEXT_RUNTIME"] === "nodejs") await import("./instrumentation-node");
}
