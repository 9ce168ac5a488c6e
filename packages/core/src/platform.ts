import { readEnvironment } from "./api-key.ts";

/** Environment variables by which platforms that start an app many times over can be told. */
const platforms: readonly (readonly [variable: string, platform: string])[] = [
  ["VERCEL", "Vercel"],
  ["NETLIFY", "Netlify"],
  ["AWS_LAMBDA_FUNCTION_NAME", "AWS Lambda"],
  ["K_SERVICE", "Cloud Run"],
  ["FUNCTIONS_WORKER_RUNTIME", "Azure Functions"],
  ["CF_PAGES", "Cloudflare"],
  ["DENO_DEPLOYMENT_ID", "Deno Deploy"],
];

/** The platform that runs many instances of the app, each with a memory of its own; undefined where one process serves all. */
export function findServerless(): string | undefined {
  const scope = globalThis as { navigator?: { userAgent?: string } };
  if (scope.navigator?.userAgent === "Cloudflare-Workers") return "Cloudflare";
  return platforms.find(([variable]) => (readEnvironment(variable) ?? "") !== "")?.[1];
}

/** True while `next build` loads routes only to look at them. */
export function isBuilding(): boolean {
  return readEnvironment("NEXT_PHASE") === "phase-production-build";
}
