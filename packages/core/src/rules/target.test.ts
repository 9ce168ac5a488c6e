import { describe, expect, it } from "vitest";
import { parseTarget, renderPath } from "./target.ts";

describe("accepted targets render to the very string", () => {
  const accepted = [
    "https://fal.run/fal-ai/flux/dev",
    "https://fal.run/a/b/",
    "https://fal.run/fal-ai/flux/dev?a=1&b=z+z",
    "https://queue.fal.run/fal-ai/flux/requests/019e161b-386c-7d33-8e2f-0123456789ab/status?logs=1",
    "https://queue.fal.run/fal-ai/flux/requests/id.mac_x-y~z",
    "https://rest.fal.ai/tokens/",
    "https://rest.alpha.fal.ai/storage/upload/initiate",
    "https://fal.run/fal-ai/caf%C3%A9%20x",
    "https://fal.run/a/b@2:c+d$&,=!'()*",
  ];
  it.each(accepted)("%s", (raw) => {
    const target = parseTarget(raw);
    expect(`https://${target.host}${renderPath(target.segments, target.trailingSlash, target.query)}`).toBe(raw);
  });
});

describe("everything else is refused", () => {
  const refused = [
    "",
    "fal.run/a/b",
    "http://fal.run/a/b",
    "HTTPS://fal.run/a/b",
    "https:/fal.run/a/b",
    "https://user:pass@fal.run/a/b",
    "https://fal.run@evil.example/a/b",
    "https://fal.run:443/a/b",
    "https://fal.run./a/b",
    "https://FAL.run/a/b",
    "https://evilfal.run/a/b",
    "https://fal.run.evil.example/a/b",
    "https://sub.fal.run/a/b",
    "https://fal.run\\@evil.example/a/b",
    "https://evil.example/?https://fal.run/a/b",
    "https://fal.run/a/b#c",
    "https://fal.run/a//b",
    "https://fal.run//a/b",
    "https://fal.run/a/../b",
    "https://fal.run/a/./b",
    "https://fal.run/a/.../b",
    "https://fal.run/a/%2e%2e/b",
    "https://fal.run/a/b%2fc",
    "https://fal.run/a/b%5cc",
    "https://fal.run/a/b%252fc",
    "https://fal.run/a/b%00",
    "https://fal.run/a/b%7F",
    "https://fal.run/a/b;c",
    "https://fal.run/a/b%3Bc",
    "https://fal.run/a/%66al",
    "https://fal.run/a/b%c3%a9",
    "https://fal.run/a/b%E9",
    "https://fal.run/a/é",
    "https://fal.run/a/b c",
    "https://fal.run/a/b\tc",
    "https://fal.run/a/b%3Fx",
    "https://fal.run/a/b%23x",
    "https://fal.run/a/b?c=%zz",
    "https://fal.run/a/b?c='",
    "https://fal.run/a/b?c d",
    `https://fal.run/a/${"b".repeat(8200)}`,
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/a/b",
    "https://ws.fal.run/a/b",
    "https://wma.fal.run/ice",
    " https://fal.run/a/b",
    "https://fal.run/a/b ",
    "https://ｆal.run/a/b",
    "//fal.run/a/b",
    "/a/b",
    "javascript:alert(1)",
  ];
  it.each(refused)("%j", (raw) => {
    expect(() => parseTarget(raw)).toThrow(expect.objectContaining({ status: 400 }));
  });
});
