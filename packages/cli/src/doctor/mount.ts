import type { Answered } from "./ask.ts";
import { type Finding, fault, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";
import { nobodysStatus } from "./probes.ts";

/** Is the mount there, does it keep strangers out, does it let the app's own callers in, and is nothing cached on the way? */
export async function checkMount(patient: Patient): Promise<readonly Finding[]> {
  if (patient.url === undefined) return [skipped("no running app was named: --url https://app.example/api/fal/proxy")];
  const answer = await patient.ask("stranger", nobodysStatus);
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
  return [
    ok(`Keyway answers at ${patient.url.href}`),
    toStranger(answer),
    toCaching(answer),
    await lookAsCaller(patient),
  ];
}

function toStranger({ status, code }: Answered): Finding {
  if (code === "unauthorized" || code === "denied") return ok(`strangers are refused (${status} ${code})`);
  if (status >= 500)
    return fault(
      `the app fails before it decides who may call (${status} ${code})`,
      "read the app's log: it has the reason",
    );
  if (code === "closing") return warning("the app is shutting down", "ask again when it has started");
  return warning(
    `strangers are let in (${status} ${code})`,
    'if that is not meant, state authorize with a function in place of "public"',
  );
}

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
  const answer = await patient.ask("caller", nobodysStatus);
  if ("why" in answer) return fault(`no answer to a caller (${answer.why})`, "read the app's log");
  const { status, code } = answer;
  if (code === "unauthorized")
    return fault("the app does not know the token or cookie that was given", "give what its authorize lets in");
  if (code === "forbidden_origin")
    return fault(
      "the app does not know its own address, so it refuses cookies",
      `state publicUrl: "${patient.url?.href ?? ""}"`,
    );
  if (code === "endpoint_refused" || status === 404) return ok("callers are let in");
  return warning(
    `callers are answered ${status} ${code ?? "by fal.ai"}`,
    "see docs/security.md for what each code means",
  );
}
