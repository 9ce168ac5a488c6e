/** What the headers of WebSocket frames tell (RFC 6455, section 5.2); payloads are skipped, not looked at. */
export interface FrameScanner {
  /**
   * Takes the next bytes of one direction and answers which of them may go on. A header that is not complete is held back (at most
   * 13 bytes), so a border is always a place where a frame of our own may stand.
   */
  scan(chunk: Buffer): Scanned;
  /** True between frames. */
  atBorder(): boolean;
  /** From now on `scan` stops at the next border. */
  stopAtBorder(): void;
  /** Frames seen so far. */
  frames(): number;
}

interface Scanned {
  readonly pass: Buffer;
  /** Why nothing more may pass, as a close code: 1009 too large, 1008 too many control frames. */
  readonly violation: 1008 | 1009 | undefined;
  /** The scan stopped at a border as asked. */
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

export function createFrameScanner(limits: FrameLimits, now: () => number = Date.now): FrameScanner {
  let held: Buffer = nothing;
  let remaining = 0;
  let message = 0;
  let frames = 0;
  let controls = 0;
  let second = 0;
  let stopping = false;
  let closing = false;

  /** Counts one frame; answers the close code if it may not pass. */
  function enter({ opcode, length, final }: FrameHeader): 1008 | 1009 | undefined {
    frames += 1;
    if (opcode >= close) return countControl() ? undefined : 1008;
    message = opcode === 0 ? message + length : length;
    if (message > limits.maxMessageBytes) return 1009;
    if (final) message = 0;
    return undefined;
  }

  function countControl(): boolean {
    const current = Math.floor(now() / 1000);
    controls = current === second ? controls + 1 : 1;
    second = current;
    return controls <= limits.maxControlFrames;
  }

  return {
    scan(chunk) {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      held = nothing;
      let offset = 0;
      const passing = (): Buffer => bytes.subarray(0, offset);
      while (offset < bytes.length) {
        if (remaining > 0) {
          const step = Math.min(remaining, bytes.length - offset);
          offset += step;
          remaining -= step;
        } else {
          if (stopping) break;
          const header = readHeader(bytes, offset);
          if (header === undefined) {
            held = Buffer.from(bytes.subarray(offset));
            break;
          }
          const violation = enter(header);
          if (violation !== undefined) return { pass: passing(), violation, stopped: false, closes: false };
          closing = header.opcode === close;
          offset += header.size;
          remaining = header.length;
        }
        if (closing && remaining === 0) return { pass: passing(), violation: undefined, stopped: false, closes: true };
      }
      return { pass: passing(), violation: undefined, stopped: stopping && remaining === 0, closes: false };
    },
    atBorder: () => remaining === 0,
    stopAtBorder: () => {
      stopping = true;
    },
    frames: () => frames,
  };
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
