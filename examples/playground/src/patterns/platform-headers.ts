import { createCheckbox, createChoice, createNumberField, createTextField } from "../fields.ts";
import { createEndpointField, createInputField } from "../input.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";
import { showStatus } from "./status.ts";

export function createPlatformHeaders({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.image, endpoints.all);
  const input = createInputField("a paper boat on a still lake");
  const priority = createChoice({ label: "Priority", choices: { normal: "normal", low: "low" }, value: "low" });
  const startTimeout = createNumberField({
    label: "Start timeout in seconds",
    value: 30,
    min: 1.1,
    max: 3600,
    hint: "Given up when the job has not started by then.",
  });
  const hint = createTextField({
    label: "Runner hint",
    value: "session-42",
    hint: "Jobs with the same hint go to the same runner where possible.",
  });
  const noRetry = createCheckbox({ label: "No retry (x-fal-no-retry)", value: true });
  const tags = createTextField({ label: "Tags (x-fal-tags)", value: "team=design,page=playground" });
  const options = (): object => {
    const headers = {
      ...(noRetry.value ? { "x-fal-no-retry": "1" } : {}),
      ...(tags.value === "" ? {} : { "x-fal-tags": tags.value }),
    };
    return {
      input: input.value,
      priority: priority.value,
      ...(startTimeout.value === undefined ? {} : { startTimeout: startTimeout.value }),
      ...(hint.value === "" ? {} : { hint: hint.value }),
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
    };
  };
  return {
    id: "headers",
    title: "Platform headers",
    summary:
      "How fal should treat a job. These headers cross the proxy by exact name; cookies, authorization and whatever else the page sends stay behind.",
    fields: [
      endpoint.element,
      input.element,
      priority.element,
      startTimeout.element,
      hint.element,
      noRetry.element,
      tags.element,
    ],
    code: () => `${client}
const { data } = await fal.subscribe(${toSource(endpoint.value)}, ${toSource(options())});`,
    actions: [
      {
        label: "Subscribe",
        async run(stage) {
          stage.timeline.begin("Sent", "Queued", "Running", "Done");
          const { data, requestId } = await fal.subscribe(endpoint.value, {
            ...options(),
            logs: true,
            onEnqueue: () => stage.timeline.reach("Queued"),
            onQueueUpdate: (update) => showStatus(update, stage),
          });
          stage.show(data, requestId);
          stage.timeline.end("done");
        },
      },
    ],
  };
}
