import { expect, it } from "vitest";
import { type AuthorizeContext, type HeaderList, createKeyway } from "./index.ts";

const headers: HeaderList = [
  ["host", "app.example"],
  ["cookie", "session=ada; theme=dark"],
  ["sec-fetch-site", "same-origin"],
  ["x-empty", ""],
  ["x-twice", "one"],
  ["x-twice", "two"],
  ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
];

it("an open socket's caller is asked about with the headers of his handshake, and cut off when he is another", async () => {
  const asked: { headers: [string, string][]; session: string | undefined; rest: unknown[] }[] = [];
  const note = ({ headers: sent, cookie, address, native, call }: AuthorizeContext): void =>
    void asked.push({ headers: [...sent], session: cookie("session"), rest: [address, native, call] });
  let id = "ada";
  const { plan } = createKeyway({
    authorize(context) {
      note(context);
      return { id };
    },
    endpoints: ["demo/**"],
    upstream: { url: "http://127.0.0.1:1", key: "k" },
  });
  const decided = await plan({
    head: {
      method: "GET",
      path: "/api/fal/proxy/fal.run/demo/echo/realtime",
      query: null,
      mount: "/api/fal/proxy",
      headers,
      address: "10.0.0.1",
      secure: false,
      upgrade: true,
    },
    native: undefined,
    codings: "pass",
    closing: false,
    body: async () => new Uint8Array(0),
    isGone: () => false,
    waitUntil: () => undefined,
  });
  if (decided.type === "answer") throw new Error(new TextDecoder().decode(decided.body));
  const { meter } = decided.opened();
  expect(await meter?.tick()).toBe("go");
  expect(asked).toHaveLength(2);
  expect(asked[1]).toEqual(asked[0]);
  expect(asked[1]?.session).toBe("ada");
  id = "eve";
  expect(await meter?.tick()).toBe("stop");
});
