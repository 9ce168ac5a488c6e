/** The key that must not be seen. */
export const canary = "7e21f0c4-canary-9b3d-key-id:c4n4ry-5e8b9d1f20a7-k3y-s3cr3t";

/** Every form of the key and of its halves that is searched for. */
export const forms: readonly string[] = [canary, ...canary.split(":")].flatMap((text) => [
  text,
  encodeURIComponent(text),
  Buffer.from(text).toString("hex"),
  ...[0, 1, 2].flatMap((offset) => base64At(text, offset)),
]);

/** Base64 of the text wherever it stands in a longer one: without the characters that depend on its neighbours. */
function base64At(text: string, offset: number): string[] {
  const whole = Buffer.from("x".repeat(offset) + text).toString("base64");
  const inner = whole.replace(/=+$/, "").slice(offset === 0 ? 0 : 4, -2);
  return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
}

/** The forms that occur in a text. */
export function found(text: string): string[] {
  const lower = text.toLowerCase();
  return forms.filter((form) => text.includes(form) || lower.includes(form.toLowerCase()));
}
