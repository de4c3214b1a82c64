// The encoding of SSH's own formats (RFC 4251, section 5): numbers, and byte strings preceded by their length.

/** A string: its length in four bytes, then its bytes. */
export function sshString(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A number that is not negative, shortest form: a first byte of 128 and up would make it negative. */
export function sshNumber(value: Buffer): Buffer {
  const first = value.findIndex(byte => byte !== 0);
  const digits = first < 0 ? Buffer.alloc(0) : value.subarray(first);
  return sshString((digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), digits]) : digits);
}

/** Reads one value after the other. @throws RangeError when the bytes end before the value does */
export class SshReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  uint32(): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('the bytes end too early');
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  text(): string {
    return this.string().toString('latin1');
  }
}
