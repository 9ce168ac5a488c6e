import { createEndpointField, createInputField } from "../input.ts";
import { createJobList } from "../job-list.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";

export function createLater({ fal, endpoints, proxyUrl }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.slow, endpoints.all);
  const input = createInputField("a letter in a bottle");
  const list = createJobList(proxyUrl);
  return {
    id: "later",
    title: "Leave, come back",
    summary:
      "Submit and close the page. fal.ai tells the app by a signed webhook when the job is over, and the app knows whose it is: after a reload, or in another browser where you are signed in, it is there.",
    fields: [endpoint.element, input.element, list.element],
    code: () => `import { fal } from "@fal-ai/client";
import { jobs } from "@keyway/client";

const proxyUrl = ${toSource(proxyUrl)};
fal.config({ proxyUrl });

await fal.queue.submit(${toSource(endpoint.value)}, {
  input: ${toSource(input.value, "  ")},
});

// Later, on any page:
const [latest] = await jobs({ proxyUrl });
if (latest?.status === "OK") {
  const { data } = await fal.queue.result(latest.endpoint, {
    requestId: latest.requestId,
  });
}`,
    actions: [
      {
        label: "Submit",
        async run(stage) {
          stage.timeline.begin("Sent", "Queued");
          const submitted = await fal.queue.submit(endpoint.value, { input: input.value, abortSignal: stage.signal });
          stage.timeline.reach("Queued");
          stage.show(submitted);
          stage.say("It is in the queue. Close this page or reload it: your jobs will be here.");
          await list.refresh();
          stage.timeline.end("done");
        },
      },
      {
        label: "Look again",
        continues: true,
        run: () => list.refresh(),
      },
      {
        label: "Show the result",
        async run(stage) {
          const job = list.chosen;
          if (job === undefined) return stage.say("There is no job yet.");
          stage.timeline.begin("Sent", "Answered");
          const { data } = await fal.queue.result(job.endpoint, {
            requestId: job.requestId,
            abortSignal: stage.signal,
          });
          stage.show(data, job.requestId);
          stage.timeline.end("done");
        },
      },
    ],
  };
}
