import { type Call, appLength, methodRefused, runMethods } from "../call.ts";
import { ProxyError, invalidOption } from "../errors.ts";
import type { LimitsOption } from "./limit-set.ts";
import type { InputRule } from "./input.ts";
import type { Price, PriceOption } from "./price.ts";
import { isFree, resolvePrice } from "./price.ts";

/** What an app may say about the endpoints that a pattern matches. */
export interface EndpointRule {
  /** Checks the input, and may change it: any Standard Schema (zod, valibot, arktype) or a function. What it returns goes upstream. */
  readonly input?: InputRule;
  /** What a call costs, in US dollars: see {@link PriceOption}. */
  readonly price?: PriceOption;
  /** `"token"`: callers may also get short-lived fal tokens for it. `"proxied"` (default): only through the proxy. `false`: none. */
  readonly realtime?: "proxied" | "token" | false;
  /** Limits for this endpoint beside those of {@link KeywayOptions.limits}, for each caller and for all. */
  readonly limits?: Omit<LimitsOption, "pollsPerSecond">;
  /** Methods of `run` and `stream` beside POST, such as `["POST", "GET"]`. Default `["POST"]`. */
  readonly methods?: readonly string[];
}

/**
 * What may be called. `"any"`; a list of patterns; or a map from pattern to rule, where the first match in written order counts.
 * In a pattern `*` stands for one segment and `**` for any number. What nothing matches is refused; an empty list allows nothing.
 */
export type EndpointsOption = "any" | readonly string[] | Readonly<Record<string, EndpointRule>>;

/** A pattern with its rule, ready to be matched. */
export interface Endpoint {
  readonly pattern: string;
  readonly segments: readonly string[];
  readonly input: InputRule | undefined;
  readonly price: Price | undefined;
  /** It has an input rule, or a price that is not nothing: calls that these cannot see into are refused. */
  readonly ruled: boolean;
  readonly realtime: "proxied" | "token" | false | undefined;
  readonly limits: Omit<LimitsOption, "pollsPerSecond"> | undefined;
  readonly methods: readonly string[];
}

/** The rule that a call falls under; throws `endpoint_refused`, or `method_refused` for a run method that the rule does not take. */
export function findEndpoint(call: Call, endpoints: readonly Endpoint[]): Endpoint {
  const found = isJobCall(call)
    ? endpoints.find((endpoint) => coversApp(endpoint, call.app))
    : matchCall(call, endpoints);
  if (found === undefined) {
    throw new ProxyError("endpoint_refused", {
      message: `The endpoint ${call.endpoint} is not on this app's list (option endpoints).`,
    });
  }
  checkVisible(call, found);
  return found;
}

/** Calls about a job that exists: they name the app only (fal-js drops the path), so any pattern that could have admitted it counts. */
function isJobCall(call: Call): boolean {
  return call.requestId !== undefined;
}

function matchCall(call: Call, endpoints: readonly Endpoint[]): Endpoint | undefined {
  const names = call.target.segments;
  const shorter = call.endpoint.split("/");
  return endpoints.find(({ segments }) => matchSegments(segments, shorter) || matchSegments(segments, names));
}

/** A rule that looks at inputs or counts money must see them: what it cannot see into is refused. */
function checkVisible(call: Call, endpoint: Endpoint): void {
  const { ruled } = endpoint;
  if (call.kind === "realtime" && (endpoint.realtime === false || (ruled && endpoint.realtime === undefined))) {
    throw new ProxyError("realtime_refused");
  }
  if (call.kind !== "run" && call.kind !== "stream") return;
  if (!endpoint.methods.includes(call.method)) throw methodRefused(call.kind, endpoint.methods);
  if (ruled && call.method === "GET") {
    throw methodRefused(call.kind, ["POST"]);
  }
}

/** True when the pattern matches the segments. Two pointers with one restart: no backtracking beyond the last `**`. */
export function matchSegments(pattern: readonly string[], segments: readonly string[]): boolean {
  if (segments[0] !== pattern[0] && appLength(segments) === 3) return false;
  let at = 0;
  let from = 0;
  let star = -1;
  let resume = 0;
  while (at < segments.length) {
    const wanted = pattern[from];
    if (wanted === "**") {
      star = from;
      from += 1;
      resume = at;
    } else if (wanted !== undefined && (wanted === "*" || wanted === segments[at])) {
      at += 1;
      from += 1;
    } else if (star >= 0) {
      from = star + 1;
      resume += 1;
      at = resume;
    } else return false;
  }
  while (pattern[from] === "**") from += 1;
  return from === pattern.length;
}

/** True when the pattern could match some endpoint of the app. */
export function coversApp({ segments }: Endpoint, app: string): boolean {
  const names = app.split("/");
  if (names[0] !== segments[0] && names.length === 3) return false;
  for (const [index, name] of names.entries()) {
    const wanted = segments[index];
    if (wanted === "**") return true;
    if (wanted !== "*" && wanted !== name) return false;
  }
  return true;
}

const patternSegment = /^(?:\*{1,2}|[A-Za-z0-9._~@-]+)$/;
const anyEndpoint: readonly Endpoint[] = ["**", "workflows/**", "comfy/**"].map((pattern) => toEndpoint(pattern, {}));

/** Turns the option into matchable endpoints; throws `invalid_option` with the line to write. */
export function resolveEndpoints(option: unknown): readonly Endpoint[] {
  if (option === "any") return anyEndpoint;
  if (Array.isArray(option)) return option.map((pattern) => toEndpoint(checkPattern(pattern), {}));
  if (typeof option === "object" && option !== null) {
    return Object.entries(option).map(([pattern, rule]) => toEndpoint(checkPattern(pattern), checkRule(pattern, rule)));
  }
  throw invalidOption(`endpoints must be stated, for example endpoints: ["fal-ai/flux/**"], or endpoints: "any"`);
}

function toEndpoint(pattern: string, rule: EndpointRule): Endpoint {
  const price = rule.price === undefined ? undefined : resolvePrice(rule.price, pattern);
  const ruled = rule.input !== undefined || (price !== undefined && !isFree(price));
  const methods = (rule.methods ?? ["POST"]).map((method) => method.toUpperCase());
  if (ruled && methods.every((method) => method === "GET"))
    throw invalidOption(
      `methods of "${pattern}" let through GET alone, which has no input for the rule or price to look at: write methods: ["POST"]`,
    );
  return {
    pattern,
    segments: pattern.split("/"),
    input: rule.input,
    price,
    ruled,
    realtime: rule.realtime,
    limits: rule.limits,
    methods,
  };
}

function checkPattern(pattern: unknown): string {
  if (typeof pattern !== "string") throw invalidOption(`an endpoint pattern is a string such as "fal-ai/flux/**"`);
  if (pattern === "**" || pattern === "**/**")
    throw invalidOption(`the pattern "${pattern}" allows every endpoint: write endpoints: "any" if that is meant`);
  const [first] = pattern.split("/");
  if (pattern.includes("://") || first === "fal.run" || first === "queue.fal.run") {
    throw invalidOption(`the pattern "${pattern}" names a host: write the endpoint id alone, such as "fal-ai/flux/**"`);
  }
  const segments = pattern.split("/");
  if (segments.some((segment) => !patternSegment.test(segment) || /^\.+$/.test(segment))) {
    throw invalidOption(
      `the pattern "${pattern}" is not owner/alias[/path]: a segment is a name, * for one, or ** for any number`,
    );
  }
  if (segments.length < 2)
    throw invalidOption(
      `the pattern "${pattern}" is too short: write "${pattern}/**" for all of this owner's endpoints`,
    );
  return pattern;
}

const ruleNames = ["input", "price", "realtime", "limits", "methods"];

function checkRule(pattern: string, rule: unknown): EndpointRule {
  if (typeof rule !== "object" || rule === null || Array.isArray(rule))
    throw invalidOption(`the rule of "${pattern}" is an object, {} for none`);
  for (const name of Object.keys(rule)) {
    if (!ruleNames.includes(name))
      throw invalidOption(`the rule of "${pattern}" has no field ${name}: it takes ${ruleNames.join(", ")}`);
  }
  const { realtime, input, methods }: Record<string, unknown> = { ...rule };
  if (realtime !== undefined && realtime !== "proxied" && realtime !== "token" && realtime !== false) {
    throw invalidOption(`realtime of "${pattern}" is "proxied", "token" or false`);
  }
  if (
    input !== undefined &&
    typeof input !== "function" &&
    !(typeof input === "object" && input !== null && "~standard" in input)
  ) {
    throw invalidOption(
      `input of "${pattern}" is a Standard Schema (zod, valibot, arktype) or a function: input: (input) => input`,
    );
  }
  if (methods !== undefined && !(Array.isArray(methods) && methods.length > 0 && methods.every(isRunMethod))) {
    throw invalidOption(`methods of "${pattern}" is a list such as ["POST", "GET"]`);
  }
  return rule as EndpointRule;
}

function isRunMethod(method: unknown): boolean {
  return typeof method === "string" && runMethods.includes(method.toUpperCase());
}
