import { createEndpointField, createInputField } from "../input.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";

export function createRun({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.image, endpoints.all);
  const input = createInputField("a lighthouse on a cliff at dusk");
  return {
    id: "run",
    title: "Run",
    summary:
      "One request, one answer. The simplest call, for models that answer within seconds: nothing is queued, and leaving the page ends it.",
    fields: [endpoint.element, input.element],
    code: () => `${client}
const { data } = await fal.run(${toSource(endpoint.value)}, {
  input: ${toSource(input.value, "  ")},
});`,
    actions: [
      {
        label: "Run",
        async run({ timeline, show, signal }) {
          timeline.begin("Sent", "Answered");
          const { data, requestId } = await fal.run(endpoint.value, { input: input.value, abortSignal: signal });
          show(data, requestId);
          timeline.end("done");
        },
      },
    ],
  };
}
