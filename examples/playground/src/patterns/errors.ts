import { createChoice } from "../fields.ts";
import type { Endpoints, Pattern, PatternContext } from "../pattern.ts";
import { toSource } from "../source.ts";

const choices = {
  input: "422: the model refuses the input",
  endpoint: "403: the app does not allow this",
  policy: "422: against a content policy",
  model: "503: no runner (the client repeats)",
} as const;

type Case = keyof typeof choices;

export function createErrors({ fal, endpoints, client }: PatternContext): Pattern {
  const { input, endpoint } = choices;
  const offered = endpoints.failing === undefined ? { input, endpoint } : choices;
  const choice = createChoice<Case>({ label: "Call", choices: offered, value: "input" });
  const call = (): [string, object] => toCall(choice.value, endpoints);
  return {
    id: "errors",
    title: "Errors",
    summary:
      "fal's own errors come through unchanged, so the client's error classes work. The proxy's refusals have a code and say what to do. Sign out to see one more.",
    fields: [choice.element],
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
          const [id, given] = call();
          const { data, requestId } = await fal.run(id, { input: given, abortSignal: signal });
          show(data, requestId);
          timeline.end("done");
        },
      },
    ],
  };
}

function toCall(choice: Case, { image, failing = image }: Endpoints): [endpoint: string, input: object] {
  switch (choice) {
    case "input":
      return [image, { prompt: "a lighthouse", num_images: 99 }];
    case "endpoint":
      return ["somebody/else", {}];
    case "policy":
      return [failing, { type: "content_policy_violation", message: "The prompt was flagged." }];
    case "model":
      return [failing, { error: "runner_scheduling_failure" }];
  }
}
