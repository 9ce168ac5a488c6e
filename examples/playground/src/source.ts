/** A value as a JavaScript programmer writes it: keys without quotes where they need none. */
export function toSource(value: unknown, indent = ""): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined";
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const lines = Object.entries(value).map(([key, item]) => {
    const printed = toSource(item, `${indent}  `);
    return Array.isArray(value) ? printed : `${toKey(key)}: ${printed}`;
  });
  if (lines.length === 0) return `${open}${close}`;
  return `${open}\n${lines.map((line) => `${indent}  ${line},\n`).join("")}${indent}${close}`;
}

function toKey(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
}

const tokens =
  /(?<comment>\/\/[^\n]*)|(?<string>"(?:[^"\\\n]|\\.)*")|\b(?<keyword>await|catch|const|else|false|from|if|import|instanceof|null|true|try)\b|\b(?<number>\d[\d_.]*)\b/g;

/** Source cut into pieces, each with the kind that a highlighter colours it by. */
export function* tokenize(source: string): Generator<{ text: string; kind: string | undefined }> {
  let end = 0;
  for (const match of source.matchAll(tokens)) {
    if (match.index > end) yield { text: source.slice(end, match.index), kind: undefined };
    const kind = Object.entries(match.groups ?? {}).find(([, text]) => text !== undefined)?.[0];
    yield { text: match[0], kind };
    end = match.index + match[0].length;
  }
  if (end < source.length) yield { text: source.slice(end), kind: undefined };
}
