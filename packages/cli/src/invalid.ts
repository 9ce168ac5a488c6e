import { ProxyError } from "@keyway/core";

/** A wrong or missing setting; the message holds the line that mends it. The command ends with exit code 2. */
export function invalid(message: string): ProxyError {
  return new ProxyError("invalid_option", { message: `Keyway: ${message}.` });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
