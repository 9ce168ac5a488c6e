import type { AdmittedCall } from "./exchange.ts";
import type { Head, HeaderList } from "./head.ts";
import { laterHead, meterOf } from "./meter.ts";
import type { OpenSocket } from "./seam.ts";
import { settleCall } from "./settlement.ts";

const agreed = { status: 101, headers: [] };

/** A socket is open for hours: of its handshake it keeps what the app is asked with again, in little room. */
export function openSocket(admitted: AdmittedCall): OpenSocket {
  const { call, caller, hold, price, settings, trace } = admitted;
  const door = { head: packHead(laterHead(admitted.door.head, admitted.more)), native: admitted.door.native };
  const { waitUntil } = admitted.door;
  const meter = meterOf({ call, caller, hold, price, job: undefined, more: [], settings, door });
  let ended = false;
  return {
    meter,
    end(ending, use) {
      if (ended) return;
      ended = true;
      const settled = settleCall({ call, caller, hold, price, settings }, ending, agreed, undefined, meter);
      if (settled !== undefined) waitUntil(settled);
      trace.finished(ending, use, agreed.status, undefined);
    },
  };
}

/** The header lines as one text; no name and no value holds a line break (RFC 9110, section 5.5). */
function packHead(head: Head): Head {
  const { method, path, query, mount, address, secure, upgrade } = head;
  const text = head.headers.flat().join("\n");
  return {
    method,
    path,
    query,
    mount,
    address,
    secure,
    upgrade,
    get headers() {
      return unpackHeaders(text);
    },
  };
}

function unpackHeaders(text: string): HeaderList {
  const lines = text.split("\n");
  return lines.flatMap((name, at) => (at % 2 === 0 ? [[name, lines[at + 1] ?? ""] as const] : []));
}
