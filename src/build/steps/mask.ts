// Secret values never reach a log: each is replaced by asterisks in what a command writes, also when it is split over
// two chunks. So is each line of a secret that has several (a key, say): programs print files line by line.

const mask = Buffer.from('********');
/** Shorter values would black out ordinary text. */
const minLength = 4;
/** The same for a line, which is less likely to be secret of itself. */
const minLineLength = 8;
/** Files of which each line is looked for; keys and credentials are smaller by far. */
const maxBytesByLine = 64 * 1024;

export class Masker {
  readonly #values: readonly Buffer[];
  #held = Buffer.alloc(0);

  /** @param secrets the values; a trailing newline is not part of the secret */
  constructor(secrets: Iterable<Uint8Array>) {
    const texts = [...secrets].map(value => Buffer.from(value).toString('latin1').trim());
    const whole = texts.filter(text => text.length >= minLength);
    const lines = whole
      .filter(text => text.length <= maxBytesByLine)
      .flatMap(text => text.split(/[\r\n]+/).map(line => line.trim()))
      .filter(line => line.length >= minLineLength);
    this.#values = [...new Set([...whole, ...lines])]
      .map(text => Buffer.from(text, 'latin1'))
      .sort((a, b) => b.length - a.length);
  }

  /** What can be shown now; the beginning of a possible secret is held back until more arrives. */
  push(chunk: Uint8Array): Buffer {
    if (this.#values.length === 0) return Buffer.from(chunk);
    const masked = this.#replace(Buffer.concat([this.#held, chunk]));
    const keep = this.#openEnd(masked);
    this.#held = Buffer.from(masked.subarray(masked.length - keep));
    return masked.subarray(0, masked.length - keep);
  }

  /** What was held back. */
  end(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #replace(bytes: Buffer): Buffer {
    let result = bytes;
    for (const value of this.#values) {
      for (let at = result.indexOf(value); at >= 0; at = result.indexOf(value, at + mask.length)) {
        result = Buffer.concat([result.subarray(0, at), mask, result.subarray(at + value.length)]);
      }
    }
    return result;
  }

  /** How many bytes at the end may be the beginning of a secret. */
  #openEnd(bytes: Buffer): number {
    return this.#values.reduce((most, value) => Math.max(most, openEndOf(bytes, value)), 0);
  }
}

/** Only where the first bytes of the value are is the rest compared: values may be long. */
function openEndOf(bytes: Buffer, value: Buffer): number {
  const isOpen = (at: number) => bytes.subarray(at).equals(value.subarray(0, bytes.length - at));
  const start = value.subarray(0, minLength);
  let at = bytes.indexOf(start, Math.max(0, bytes.length - value.length + 1));
  while (at >= 0 && !isOpen(at)) at = bytes.indexOf(start, at + 1);
  if (at >= 0) return bytes.length - at;
  for (let length = Math.min(minLength - 1, bytes.length); length > 0; length--)
    if (isOpen(bytes.length - length)) return length;
  return 0;
}
