// Secret values never reach a log: each is replaced by asterisks in what a command writes, also when it is split over
// two chunks.

const mask = Buffer.from('********');
/** Shorter values would black out ordinary text. */
const minLength = 4;

export class Masker {
  readonly #values: readonly Buffer[];
  #held = Buffer.alloc(0);

  /** @param secrets the values; a trailing newline is not part of the secret */
  constructor(secrets: Iterable<Uint8Array>) {
    const trimmed = [...secrets].map(value =>
      Buffer.from(Buffer.from(value).toString('latin1').trim(), 'latin1'),
    );
    this.#values = trimmed.filter(value => value.length >= minLength).sort((a, b) => b.length - a.length);
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
    const longest = this.#values[0]?.length ?? 0;
    for (let length = Math.min(longest - 1, bytes.length); length > 0; length--) {
      const end = bytes.subarray(bytes.length - length);
      if (this.#values.some(value => value.length > length && value.subarray(0, length).equals(end)))
        return length;
    }
    return 0;
  }
}
