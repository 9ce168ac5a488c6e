/** One event of Keyway's `observe`, as the app's feed sends it. Fields may be missing: servers may be older or newer. */
export interface ServerEvent {
  readonly id: string;
  readonly type: "decision" | "call";
  readonly method: string;
  readonly kind: string | undefined;
  readonly endpoint: string | undefined;
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly outcome: string | undefined;
  readonly bytesIn: number | undefined;
  readonly bytesOut: number | undefined;
  readonly ms: number | undefined;
}

/** Reads one message of the feed; undefined for what is not an event of a call. */
export function parseServerEvent(json: string): ServerEvent | undefined {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "object" || value === null) return undefined;
  const fields: Record<string, unknown> = { ...value };
  const { id, type, method } = fields;
  if (typeof id !== "string" || (type !== "decision" && type !== "call")) return undefined;
  const text = (name: string): string | undefined => (typeof fields[name] === "string" ? fields[name] : undefined);
  const number = (name: string): number | undefined => (typeof fields[name] === "number" ? fields[name] : undefined);
  return {
    id,
    type,
    method: typeof method === "string" ? method : "",
    kind: text("kind"),
    endpoint: text("endpoint"),
    status: number("status"),
    code: text("code"),
    outcome: text("outcome"),
    bytesIn: number("bytesIn"),
    bytesOut: number("bytesOut"),
    ms: number("ms"),
  };
}
