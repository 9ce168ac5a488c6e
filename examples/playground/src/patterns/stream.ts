import { createEndpointField, createInputField } from "../input.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";

export function createStream({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.stream, endpoints.all);
  const input = createInputField("mountains in the morning mist");
  return {
    id: "stream",
    title: "Stream",
    summary:
      "Partial results while the model works: each event replaces the picture before it, and the last one is the result.",
    fields: [endpoint.element, input.element],
    code: () => `${client}
const stream = await fal.stream(${toSource(endpoint.value)}, {
  input: ${toSource(input.value, "  ")},
});
stream.on("data", (event) => console.log(event));

const result = await stream.done();`,
    actions: [
      {
        label: "Stream",
        async run({ timeline, pictures, show, signal }) {
          timeline.begin("Sent", "Streaming", "Done");
          const stream = await fal.stream(endpoint.value, { input: input.value, signal });
          let events = 0;
          stream.on("data", (event: unknown) => {
            events += 1;
            timeline.reach("Streaming", events === 1 ? "1 event" : `${events} events`);
            pictures.show(event, `Partial result ${events}`);
          });
          const result = await stream.done();
          signal.throwIfAborted();
          show(result, stream.requestId);
          timeline.end("done");
        },
      },
    ],
  };
}
