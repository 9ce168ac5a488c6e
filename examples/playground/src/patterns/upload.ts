import { createFileField } from "../fields.ts";
import { createEndpointField, createInputField } from "../input.ts";
import type { Pattern, PatternContext } from "../pattern.ts";
import { drawSample } from "../sample.ts";
import { toSource } from "../source.ts";
import { formatBytes } from "../units.ts";

export function createUpload({ fal, endpoints, client }: PatternContext): Pattern {
  const file = createFileField({
    label: "File",
    accept: "image/*,video/*,audio/*",
    hint: "Goes from the browser straight to fal's file store; only the permission to do so comes through the proxy. Without a file a sample picture is sent.",
  });
  const endpoint = createEndpointField(endpoints.withPicture, endpoints.all);
  const input = createInputField("the same scene, painted in watercolour");
  return {
    id: "upload",
    title: "Upload",
    summary:
      "Gives a model a file to work on: store it first, then name its URL in the input. Files above 90 MiB are sent in parts.",
    fields: [file.element, endpoint.element, input.element],
    code: () => `${client}
const url = await fal.storage.upload(file);

const { data } = await fal.run(${toSource(endpoint.value)}, {
  input: ${toSource({ ...input.value, image_url: "URL" }, "  ").replace('"URL"', "url")},
});`,
    actions: [
      {
        label: "Upload and run",
        async run({ timeline, show, signal }) {
          timeline.begin("Uploading", "Sent", "Answered");
          const chosen = file.value ?? (await drawSample());
          timeline.reach("Uploading", formatBytes(chosen.size));
          const url = await fal.storage.upload(chosen);
          signal.throwIfAborted();
          timeline.reach("Sent");
          const { data, requestId } = await fal.run(endpoint.value, {
            input: { ...input.value, image_url: url },
            abortSignal: signal,
          });
          show(data, requestId);
          timeline.end("done");
        },
      },
    ],
  };
}
