import { createChoice } from "../fields.ts";
import { createEndpointField } from "../input.ts";
import type { Endpoints, Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";

const choices = {
  input: "a model that refuses the input (422)",
  model: "a model that breaks (500)",
  policy: "a model's content policy (422)",
  endpoint: "an endpoint that this app does not allow",
} as const;

type Case = keyof typeof choices;

export function createErrors({ fal, endpoints, client }: PatternContext): Pattern {
  const endpoint = createEndpointField(endpoints.failing, endpoints.all);
  const choice = createChoice<Case>({ label: "Call", choices, value: "input" });
  const call = (): [string, object] => toCall(choice.value, endpoint.value, endpoints);
  return {
    id: "errors",
    title: "Errors",
    summary:
      "fal's own errors come through unchanged, so the client's error classes work. The proxy's refusals have a code and say what to do. Sign out to see one more.",
    fields: [choice.element, endpoint.element],
    code: () => `${client.replace("{ fal }", "{\n  ApiError,\n  ValidationError,\n  fal,\n}")}
try {
  await fal.run(${toSource(call()[0])}, {
    input: ${toSource(call()[1], "    ")},
  });
} catch (error) {
  if (error instanceof ValidationError) {
    console.log(error.fieldErrors);
  } else if (error instanceof ApiError) {
    console.log(error.status, error.body);
  }
}`,
    actions: [
      {
        label: "Call",
        async run({ timeline, show, signal }) {
          timeline.begin("Sent", "Answered");
          const [id, input] = call();
          const { data, requestId } = await fal.run(id, { input, abortSignal: signal });
          show(data, requestId);
          timeline.end("done");
        },
      },
    ],
  };
}

function toCall(choice: Case, failing: string, { image }: Endpoints): [endpoint: string, input: object] {
  switch (choice) {
    case "input":
      return [image, { prompt: "a lighthouse", num_images: 99 }];
    case "model":
      return [failing, { error: "runner_server_error" }];
    case "policy":
      return [failing, { type: "content_policy_violation", message: "The prompt was flagged." }];
    case "endpoint":
      return ["somebody/else", {}];
  }
}
