import { proxyRealtime, tokenProvider } from "@keyway/client";
import type { Field } from "../fields.ts";
import type { Input } from "../input.ts";
import type { PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";
import { createChoice } from "./choice.ts";
import { type Live, type LiveOptions, openLive } from "./live.ts";

/** Which way the connection goes. */
export type Way = "proxied" | "token";

export function createWayChoice({ emulator }: PatternContext): Field<Way> {
  const unless = emulator ? ", which knows no token of the local emulator" : "";
  return createChoice<Way>("Connection", [
    { value: "proxied", label: "Through the proxy", hint: "The browser sees neither key nor token." },
    {
      value: "token",
      label: "By token",
      hint: `The browser is given a short-lived token and connects to fal.ai by itself${unless}.`,
    },
  ]);
}

/** Connects as the code on the page does. */
export function openWay(
  way: Way,
  { fal, proxyUrl }: PatternContext,
  options: Omit<LiveOptions, "fal" | "tokenProvider">,
): Live {
  if (way === "token") {
    const provide = tokenProvider({ proxyUrl, onError: options.onError });
    return openLive({ ...options, fal, tokenProvider: provide });
  }
  const throughProxy = proxyRealtime({ proxyUrl });
  const live = openLive({ ...options, fal, tokenProvider: throughProxy });
  return {
    send: (input) => live.send(input),
    close() {
      live.close();
      throughProxy.restore();
    },
  };
}

export function toCode(way: Way, { client, proxyUrl }: PatternContext, endpoint: string, input: Input): string {
  const name = way === "proxied" ? "proxyRealtime" : "tokenProvider";
  const line = client.indexOf("\n") + 1;
  return `${client.slice(0, line)}import { ${name} } from "@keyway/client";
${client.slice(line)}
const connection = fal.realtime.connect(${toSource(endpoint)}, {
  tokenProvider: ${name}({ proxyUrl: ${toSource(proxyUrl)} }),
  onResult: (result) => console.log(result.images),
  onError: (error) => console.error(error),
});

connection.send(${toSource(input)});`;
}
