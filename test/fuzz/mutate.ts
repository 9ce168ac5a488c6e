/** Pieces that parsers stumble over. */
const tokens = [
  "\r\n",
  "\r\n\r\n",
  "\n",
  "\0",
  ":",
  " ",
  "\t",
  "%2e%2e/",
  "../",
  "@",
  "transfer-encoding: chunked\r\n",
  "content-length: 5\r\n",
  "content-length: 0\r\n",
  "connection: close\r\n",
  "expect: 100-continue\r\n",
  "upgrade: websocket\r\n",
  "x-fal-target-url: https://evil.example/\r\n",
  "authorization: Key a:b\r\n",
  "0\r\n\r\n",
  "ffffffffffffffff\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "\xff\xfe",
  "\x88\x00",
  "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
];

/** Changes a recording in one to six places, as the random numbers say. */
export function mutate(recordings: readonly string[], random: () => number): Buffer {
  const any = (below: number): number => Math.floor(random() * below);
  const pick = (list: readonly string[]): string => list[any(list.length)] ?? "";
  let bytes = Buffer.from(pick(recordings), "latin1");
  for (let left = 1 + any(6); left > 0; left -= 1) {
    // Where a line begins, a whole header may go in.
    const at = random() < 0.3 ? lineIn(bytes, any(bytes.length + 1)) : any(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + any(random() < 0.8 ? 8 : 200));
    const [before, middle, after] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
    const changes: readonly (() => Buffer[])[] = [
      () => [before, Buffer.from(middle.map((byte) => byte ^ (1 << any(8)))), after],
      () => [before, Buffer.from([any(256)]), middle.subarray(1), after],
      () => [before, after],
      () => [before, middle, middle, after],
      () => [before, Buffer.from(pick(tokens), "latin1"), middle, after],
      () => [before, Buffer.from(pick(tokens), "latin1"), after],
      () => [before, Buffer.from(pick(recordings), "latin1").subarray(any(100))],
      () => [before],
    ];
    // The last two take much away, so they come less often.
    bytes = Buffer.concat((changes[any(random() < 0.9 ? 6 : 8)] ?? (() => [bytes]))());
  }
  return bytes;
}

/** Where the first line behind a place begins. */
function lineIn(bytes: Buffer, from: number): number {
  const found = bytes.indexOf("\r\n", from);
  return found < 0 ? bytes.length : found + 2;
}
