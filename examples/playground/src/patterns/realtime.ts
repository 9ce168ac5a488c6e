import { createElement } from "../element.ts";
import { createTextArea, type Field } from "../fields.ts";
import { createEndpointField, type Input } from "../input.ts";
import type { Pattern, PatternContext, Stage } from "../pattern.ts";
import type { Live, LiveOptions } from "../realtime/live.ts";
import { createLivePicture } from "../realtime/live-picture.ts";
import { createRoundTrips } from "../realtime/round-trips.ts";
import { createSlider } from "../realtime/slider.ts";
import { createWayChoice, openWay, toCode } from "../realtime/way.ts";

/** Figures are spoken when so long nothing has come. */
const quietMs = 1000;

export function createRealtime(context: PatternContext): Pattern {
  const way = createWayChoice(context);
  const endpoint = createEndpointField(context.endpoints.realtime, context.endpoints.all);
  const prompt = createTextArea({ label: "Prompt", value: "a lighthouse at dusk", hint: "Every change is sent." });
  const variation = createSlider({ label: "Variation", most: 100, hint: "Drag it, or hold an arrow key." });
  const picture = createLivePicture();
  const trips = createRoundTrips();
  const input = (): Input => ({ prompt: prompt.value, seed: variation.value, sync_mode: true });
  return {
    id: "realtime",
    title: "Real time",
    summary:
      "A WebSocket that stays open: each change of the input goes out at once, and its picture is back while you type.",
    fields: [way.element, endpoint.element, prompt.element, variation.element],
    readout: createElement("div", { class: "readout" }, picture.element, trips.element),
    code: () => toCode(way.value, context, endpoint.value, input()),
    actions: [
      {
        label: "Connect",
        async run({ signal, timeline, pictures, say }) {
          let quiet: number | undefined;
          timeline.begin("Connecting", "Live", "Closed");
          pictures.hide();
          picture.clear();
          trips.clear();
          await stayConnected({ inputs: [prompt, variation], ways: [way, endpoint], signal, input }, (onError) =>
            openWay(way.value, context, {
              endpoint: endpoint.value,
              onError,
              onResult(result, roundTripMs) {
                timeline.reach("Live");
                picture.show(result);
                trips.add(roundTripMs);
                window.clearTimeout(quiet);
                quiet = window.setTimeout(() => say(trips.summary), quietMs);
              },
            }),
          );
          timeline.end("done");
        },
      },
    ],
  };
}

interface Conversation extends Pick<Stage, "signal"> {
  /** What is sent when one of them changes. */
  readonly inputs: readonly Field<unknown>[];
  readonly input: () => Input;
  /** A change of these asks for another connection. */
  readonly ways: readonly Field<unknown>[];
}

/** Sends every change until the signal fires; rejects when the connection fails. */
function stayConnected(
  { inputs, input, ways, signal }: Conversation,
  open: (onError: LiveOptions["onError"]) => Live,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    let live: Live | undefined;
    const leave = (): void => {
      over.abort();
      live?.close();
    };
    const connect = (): void => {
      live?.close();
      live = open((error) => {
        leave();
        reject(error);
      });
      live.send(input());
    };
    const until = { signal: over.signal };
    for (const { element } of inputs) element.addEventListener("input", () => live?.send(input()), until);
    for (const { element } of ways) element.addEventListener("change", connect, until);
    signal.addEventListener("abort", () => resolve(leave()), until);
    connect();
  });
}
