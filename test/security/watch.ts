/** Looks for a secret in everything that leaves the proxy towards people. */
export interface Watch {
  /** Reads bytes that a caller got. */
  look(bytes: Buffer): void;
  /** How often the secret, in any of its forms, stands in a text or stood in what was looked at. */
  count(text: string): number;
  readonly sightings: number;
  /** Bytes looked at. */
  readonly looked: number;
}

/** Raw, halves, base64 in both alphabets, hex, percent-encoded. */
export function watchFor(key: string): Watch {
  const forms = formsOf(key);
  const needles = forms.map((form) => Buffer.from(form));
  let sightings = 0;
  let looked = 0;
  return {
    look(bytes) {
      looked += bytes.length;
      for (const needle of needles) if (bytes.includes(needle)) sightings += 1;
    },
    count: (text) => forms.filter((form) => text.includes(form)).length,
    get sightings() {
      return sightings;
    },
    get looked() {
      return looked;
    },
  };
}

function formsOf(key: string): string[] {
  const parts = [key, ...key.split(":"), `Key ${key}`];
  const coded = parts.flatMap((part) => {
    const bytes = Buffer.from(part);
    return [bytes.toString("base64").replace(/.?=*$/, ""), bytes.toString("base64url"), bytes.toString("hex")];
  });
  return [...new Set([...parts, ...parts.map(encodeURIComponent), ...coded])];
}
