import type { Answered } from "./ask.ts";
import { type Finding, fault, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";
import { nobodysStatus, refusedQuery } from "./probes.ts";

const refusedStatus = nobodysStatus + refusedQuery;

/** Is the mount there, does it keep strangers out, does it let the app's own callers in, and is nothing cached on the way? */
export async function checkMount(patient: Patient): Promise<readonly Finding[]> {
  if (patient.url === undefined) return [skipped("no running app was named: --url https://app.example/api/fal/proxy")];
  const answer = await patient.ask("stranger", refusedStatus);
  if ("why" in answer)
    return [fault(`nobody answers at ${patient.url.href} (${answer.why})`, "start the app, or put --url right")];
  const { status, code } = answer;
  if (status >= 300 && status < 400)
    return [
      fault(
        `the mount redirects to ${answer.header("location") ?? "somewhere"}`,
        "mount Keyway before what redirects (login pages, trailing slashes, https), or name the URL that does not redirect",
      ),
    ];
  if (code === undefined)
    return [
      fault(
        `${patient.url.href} answers ${status}, but it is not Keyway that answers`,
        "put --url right, or mount Keyway there",
      ),
    ];
  if (code === "route_not_found")
    return [
      fault(
        `Keyway's gateway has no mount at ${patient.url.href}`,
        "name the mount with its path, as the gateway printed it: /api/fal/proxy unless it was told another",
      ),
    ];
  return [
    ok(`Keyway answers at ${patient.url.href}`),
    toStranger(answer),
    toCaching(answer),
    await lookAsCaller(patient),
  ];
}

function toStranger({ status, code }: Answered): Finding {
  if (code === "unauthorized" || code === "denied") return ok(`strangers are refused (${status} ${code})`);
  if (code === "closing") return warning("the app is shutting down", "ask again when it has started");
  if (status >= 500)
    return fault(
      `the app fails before it decides who may call (${status} ${code})`,
      "read the app's log: it has the reason",
    );
  if (isLetIn(code))
    return warning(
      `strangers are let in (${status} ${code})`,
      'if that is not meant, state authorize with a function in place of "public"',
    );
  return warning(`strangers are answered ${status} ${code}`, allCodes);
}

/** What is refused only after Keyway has asked who calls. */
function isLetIn(code: string | undefined): boolean {
  return code === "endpoint_refused" || code === "query_refused";
}

const allCodes = "https://github.com/keyway-dev/keyway/blob/main/docs/security.md says what each code means";

function toCaching({ header }: Answered): Finding {
  const cacheControl = header("cache-control") ?? "";
  if (/\bno-store\b/.test(cacheControl)) return ok("answers may not be cached");
  return fault(
    `answers arrive with cache-control "${cacheControl}", without no-store`,
    "something in front of the app rewrites it: switch caching off for the mount, because every call has the same URL",
  );
}

async function lookAsCaller(patient: Patient): Promise<Finding> {
  if (!patient.hasLogin)
    return skipped("whether callers are let in: set KEYWAY_TOKEN or KEYWAY_COOKIE to what the app lets in");
  const answer = await patient.ask("caller", refusedStatus);
  if ("why" in answer) return fault(`no answer to a caller (${answer.why})`, "read the app's log");
  const { status, code } = answer;
  if (code === "unauthorized")
    return fault("the app does not know the token or cookie that was given", "give what its authorize lets in");
  if (code === "forbidden_origin")
    return fault(
      "the app does not know its own address, so it refuses cookies",
      `state publicUrl: "${patient.url?.href ?? ""}"`,
    );
  if (isLetIn(code)) return ok("callers are let in");
  return warning(`callers are answered ${status} ${code ?? "by somebody else than Keyway"}`, allCodes);
}
