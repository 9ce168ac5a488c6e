import { cookies } from "next/headers";
import { type NextRequest, NextResponse } from "next/server";
import { createToken, isUserName, refuseStranger, sessionCookie, userOf } from "@/lib/session";

/** Sign in. A real app checks a password here. */
export async function POST(request: NextRequest): Promise<Response> {
  // A form of another site's page could send a text that reads as JSON, and sign its reader in as somebody else.
  const isJson = request.headers.get("content-type")?.startsWith("application/json") === true;
  const body: unknown = isJson ? await request.json().catch(() => undefined) : undefined;
  const user = typeof body === "object" && body !== null && "user" in body ? body.user : undefined;
  if (!isUserName(user)) {
    const message = 'Send JSON such as { "user": "ada" }: 1 to 32 of a-z, 0-9 and -.';
    return NextResponse.json({ message, code: "invalid_user" }, { status: 400 });
  }
  const token = createToken(user);
  (await cookies()).set("session", token, sessionCookie);
  return NextResponse.json({ user, token });
}

/** Who am I. */
export async function GET(request: NextRequest): Promise<Response> {
  const user = userOf(request);
  return user === undefined ? refuseStranger() : NextResponse.json({ user });
}

/** Sign out. */
export async function DELETE(): Promise<Response> {
  (await cookies()).set("session", "", { ...sessionCookie, maxAge: 0 });
  return new NextResponse(null, { status: 204 });
}
