import { createTextField } from "../fields.ts";
import { createEndpointField, createInputField } from "../input.ts";
import type { Action, Pattern, PatternContext, Stage } from "../pattern.ts";
import { toSource } from "../source.ts";
import { showStatus } from "./status.ts";

export function createQueue({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.slow, endpoints.all);
  const input = createInputField("a quiet harbour before sunrise");
  const job = createTextField({
    label: "Request id",
    hint: "Filled in by Submit. It works for you alone: for another user this job does not exist.",
  });
  const step = (label: string, run: (stage: Stage) => Promise<void>): Action => ({ label, continues: true, run });
  return {
    id: "queue",
    title: "Queue, step by step",
    summary:
      "Submit now, come back later: from another page, after a reload, or from a job of your own. Each step is one request.",
    fields: [endpoint.element, input.element, job.element],
    code: () => `${client}
const endpoint = ${toSource(endpoint.value)};
const job = await fal.queue.submit(endpoint, {
  input: ${toSource(input.value, "  ")},
});
const requestId = job.request_id;

await fal.queue.status(endpoint, { requestId, logs: true });
await fal.queue.result(endpoint, { requestId });
await fal.queue.cancel(endpoint, { requestId });`,
    actions: [
      {
        label: "Submit",
        async run(stage) {
          stage.timeline.begin("Sent", "Queued", "Running", "Done");
          const submitted = await fal.queue.submit(endpoint.value, { input: input.value, abortSignal: stage.signal });
          job.set(submitted.request_id);
          stage.timeline.reach("Queued");
          stage.show(submitted);
        },
      },
      step("Status", async (stage) => {
        const status = await fal.queue.status(endpoint.value, { requestId: job.value, logs: true });
        showStatus(status, stage);
        stage.show(status);
        if (status.status === "COMPLETED") stage.timeline.end("error" in status ? "failed" : "done");
      }),
      step("Result", async (stage) => {
        const { data } = await fal.queue.result(endpoint.value, { requestId: job.value });
        stage.show(data);
        stage.timeline.end("done");
      }),
      step("Cancel", async (stage) => {
        await fal.queue.cancel(endpoint.value, { requestId: job.value });
        stage.say("Cancellation is requested. Ask for the status to see its effect.");
      }),
    ],
  };
}
