/** JSON as Python's `json.dumps(value, sort_keys=True)` writes it: fal's deliveries look like that (observed), and their bytes are signed. */
export function toPythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toPythonJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return escapeUnicode(JSON.stringify(value) ?? "null");
  const pairs = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${pairs.map(([name, item]) => `${escapeUnicode(JSON.stringify(name))}: ${toPythonJson(item)}`).join(", ")}}`;
}

function escapeUnicode(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
