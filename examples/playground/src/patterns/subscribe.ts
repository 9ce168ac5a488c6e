import { createChoice } from "../fields.ts";
import { createEndpointField, createInputField } from "../input.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";
import { showStatus } from "./status.ts";

export function createSubscribe({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.image, endpoints.all);
  const input = createInputField("a fox asleep in fresh snow");
  const mode = createChoice({
    label: "Updates by",
    choices: { polling: "polling (every half second)", streaming: "streaming (one open answer)" },
    value: "polling",
  });
  return {
    id: "subscribe",
    title: "Subscribe",
    summary:
      "Puts the request into the queue and follows it to its end, with position, logs and progress. The right choice for most models. Stop cancels the job.",
    fields: [endpoint.element, input.element, mode.element],
    code: () => `${client}
const { data } = await fal.subscribe(${toSource(endpoint.value)}, {
  input: ${toSource(input.value, "  ")},
  mode: ${toSource(mode.value)},
  logs: true,
  onEnqueue: (requestId) => console.log(requestId),
  onQueueUpdate: (update) => {
    console.log(update.status);
    if (update.status === "IN_PROGRESS") {
      console.log(update.logs);
    }
  },
});`,
    actions: [
      {
        label: "Subscribe",
        async run(stage) {
          stage.timeline.begin("Sent", "Queued", "Running", "Done");
          const { data, requestId } = await fal.subscribe(endpoint.value, {
            input: input.value,
            mode: mode.value,
            logs: true,
            onEnqueue: (id) => {
              stage.timeline.reach("Queued");
              stage.signal.addEventListener(
                "abort",
                () => void fal.queue.cancel(endpoint.value, { requestId: id }).catch(() => undefined),
              );
            },
            onQueueUpdate: (update) => showStatus(update, stage),
          });
          stage.show(data, requestId);
          stage.timeline.end("done");
        },
      },
    ],
  };
}
