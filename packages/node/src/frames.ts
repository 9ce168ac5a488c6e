/**
 * How far one direction was read: only what the headers of WebSocket frames tell (RFC 6455, section 5.2); payloads are skipped, not looked
 * at. A record and not closures, as there are two for every open socket.
 */
export interface FrameScan {
  readonly limits: FrameLimits;
  /** The beginning of a header that is not complete: at most 13 bytes. */
  held: Buffer;
  /** Bytes of the payload that are still to come. */
  remaining: number;
  /** Bytes of the message so far, its fragments added up. */
  message: number;
  frames: number;
  /** Control frames in the second of `second`. */
  controls: number;
  second: number;
  /** The frame under way is a close frame. */
  closing: boolean;
  /** The scan is to stop at the next frame boundary. */
  stopping: boolean;
}

interface Scanned {
  readonly pass: Buffer;
  /** Why nothing more may pass, as a close code: 1009 too large, 1008 too many control frames. */
  readonly violation: 1008 | 1009 | undefined;
  /** The scan stopped at a frame boundary as asked. */
  readonly stopped: boolean;
  /** What passed ends with a whole close frame; whatever follows it is dropped. */
  readonly closes: boolean;
}

export interface FrameLimits {
  /** Largest message in bytes, its fragments added up. */
  readonly maxMessageBytes: number;
  /** Most pings, pongs and closes in one second. */
  readonly maxControlFrames: number;
}

const close = 8;
/** Shared, so that a quiet socket keeps no view of its last chunk. */
const nothing = Buffer.alloc(0);

export function createFrameScan(limits: FrameLimits): FrameScan {
  const counts = { remaining: 0, message: 0, frames: 0, controls: 0, second: 0 };
  return { limits, held: nothing, ...counts, closing: false, stopping: false };
}

/** True between frames: where a frame of our own may stand. */
export function isAtFrameBoundary({ remaining }: FrameScan): boolean {
  return remaining === 0;
}

/** Takes the next bytes of one direction and answers which of them may go on. A header that is not complete is held back. */
export function scanFrames(scan: FrameScan, chunk: Buffer, now: () => number = Date.now): Scanned {
  const bytes = scan.held.length === 0 ? chunk : Buffer.concat([scan.held, chunk]);
  scan.held = nothing;
  let offset = 0;
  const passing = (): Buffer => (offset === bytes.length ? bytes : bytes.subarray(0, offset));
  while (offset < bytes.length) {
    if (scan.remaining > 0) {
      const step = Math.min(scan.remaining, bytes.length - offset);
      offset += step;
      scan.remaining -= step;
    } else {
      if (scan.stopping) break;
      const header = readHeader(bytes, offset);
      if (header === undefined) {
        scan.held = Buffer.from(bytes.subarray(offset));
        break;
      }
      const violation = enter(scan, header, now);
      if (violation !== undefined) return { pass: passing(), violation, stopped: false, closes: false };
      scan.closing = header.opcode === close;
      offset += header.size;
      scan.remaining = header.length;
    }
    if (scan.closing && isAtFrameBoundary(scan))
      return { pass: passing(), violation: undefined, stopped: false, closes: true };
  }
  return { pass: passing(), violation: undefined, stopped: scan.stopping && isAtFrameBoundary(scan), closes: false };
}

/** Counts one frame; answers the close code if it may not pass. */
function enter(scan: FrameScan, { opcode, length, final }: FrameHeader, now: () => number): 1008 | 1009 | undefined {
  scan.frames += 1;
  if (opcode >= close) return countControl(scan, now) ? undefined : 1008;
  scan.message = opcode === 0 ? scan.message + length : length;
  if (scan.message > scan.limits.maxMessageBytes) return 1009;
  if (final) scan.message = 0;
  return undefined;
}

function countControl(scan: FrameScan, now: () => number): boolean {
  const current = Math.floor(now() / 1000);
  scan.controls = current === scan.second ? scan.controls + 1 : 1;
  scan.second = current;
  return scan.controls <= scan.limits.maxControlFrames;
}

interface FrameHeader {
  readonly opcode: number;
  readonly final: boolean;
  /** Payload length; lengths beyond 2^53 come out larger than any limit. */
  readonly length: number;
  /** Length of the header itself. */
  readonly size: number;
}

/** The frame header at an offset, or undefined when it is not all there. */
function readHeader(bytes: Buffer, offset: number): FrameHeader | undefined {
  const first = bytes[offset];
  const second = bytes[offset + 1];
  if (first === undefined || second === undefined) return undefined;
  const short = second & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const size = 2 + extended + ((second & 0x80) === 0 ? 0 : 4);
  if (bytes.length - offset < size) return undefined;
  const length =
    extended === 0
      ? short
      : extended === 2
        ? bytes.readUInt16BE(offset + 2)
        : bytes.readUInt32BE(offset + 2) * 2 ** 32 + bytes.readUInt32BE(offset + 6);
  return { opcode: first & 0x0f, final: (first & 0x80) !== 0, length, size };
}

/** A close frame (RFC 6455, section 5.5.1). What goes to a server is masked; a mask of zeros is a mask. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  const head = masked ? [0x88, 0x80 | payload.length, 0, 0, 0, 0] : [0x88, payload.length];
  return Buffer.concat([Buffer.from(head), payload]);
}
