import { expect } from "vitest";
import { found } from "../secrets/canary.ts";
import { token } from "./answers.ts";
import type { Playground } from "./playground.ts";
import { type SeenSocket, watchSockets } from "./sockets.ts";

/** Live pictures over the proxied WebSocket on a page whose user is signed in; no frame, URL or header holds a key or a token. */
export async function tryProxied(playground: Playground, origin: string): Promise<void> {
  const { page, choose, press, ends, picture, response, serverSaw } = playground;
  await choose("Real time");
  const sockets = await watchSockets(page);
  await press("Connect");
  await serverSaw(/realtime GET.*demo\/realtime.*under way/);
  await typeLive(playground);
  expect(await picture()).toEqual([256, 256]);
  await press("Stop");
  await ends("Closed");
  await response.getByText(/^\d+ pictures, the last after/).waitFor();
  await serverSaw(/realtime GET.*demo\/realtime.*101/);
  const opened = await sockets(isOfFal);
  const mount = `${origin.replace("http", "ws")}/api/fal/proxy`;
  expect(opened.map(({ url }) => url)).toEqual([`${mount}/fal.run/demo/realtime`]);
  for (const text of opened.flatMap(({ texts }) => texts)) expect([found(text), token.test(text)]).toEqual([[], false]);
}

/** The same by token: the client goes to `wss://fal.run` as it comes. Done by the keyboard alone. */
export async function tryByToken(playground: Playground): Promise<void> {
  const { page, choose, field, ends, picture, serverSaw } = playground;
  await choose("Real time");
  const sockets = await watchSockets(page);
  await field("Through the proxy").focus();
  await page.keyboard.press("ArrowDown");
  expect(await field("By token").isChecked()).toBe(true);
  await page.getByRole("button", { name: "Connect" }).focus();
  await page.keyboard.press("Enter");
  await typeLive(playground);
  await field("Variation").focus();
  const before = await newest(playground).getAttribute("src");
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => newest(playground).getAttribute("src")).not.toBe(before);
  expect(await picture()).toEqual([256, 256]);
  await page.getByRole("button", { name: "Stop" }).focus();
  await page.keyboard.press("Enter");
  await ends("Closed");
  expect((await sockets(isOfFal)).map(({ url }) => url)).toEqual([
    expect.stringMatching(/^wss:\/\/fal\.run\/demo\/realtime\?fal_jwt_token=eyJ/),
  ]);
  await serverSaw(/token POST.*200/);
}

/** Changes the prompt a few times while connected; each change brings another picture. */
async function typeLive(playground: Playground): Promise<void> {
  const { field, response } = playground;
  const seen = new Set<string | null>();
  for (const prompt of ["a boat", "a boat at night", "a boat at sea"]) {
    await field("Prompt").fill(prompt);
    const isOld = async (): Promise<boolean> => seen.has(await newest(playground).getAttribute("src"));
    await expect.poll(isOld, { timeout: 10_000 }).toBe(false);
    seen.add(await newest(playground).getAttribute("src"));
  }
  const chart = response.getByRole("img", { name: /^Round trips: \d+ pictures/ });
  expect(await chart.locator("rect").count()).toBeGreaterThan(2);
}

function newest({ response }: Playground): ReturnType<Playground["response"]["getByRole"]> {
  return response.getByRole("img", { name: "Newest result" });
}

/** Frameworks that are being developed with have sockets of their own. */
function isOfFal({ url }: SeenSocket): boolean {
  return url.includes("fal.run");
}
