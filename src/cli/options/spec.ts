// Flags whose value is a list of `key=value`, separated by commas; a field with commas stands in double quotes.
import { csvFields } from '../../dockerfile/csv.ts';
import { parseBoolean } from '../../dockerfile/directives.ts';
import { didYouMean } from '../../dockerfile/suggest.ts';
import { BuildError, printable } from '../../errors.ts';
import type { Compression } from '../../image/media-type.ts';

/** One such value, checked as its keys are asked for. */
export class Spec {
  readonly #flag: string;
  readonly #text: string;
  readonly #values = new Map<string, string[]>();

  /** @throws BuildError `usage` when it is no list of `key=value` */
  constructor(flag: string, text: string) {
    this.#flag = flag;
    this.#text = text;
    const fields = csvFields(text);
    if (!Array.isArray(fields)) throw this.wrong((fields as { problem: string }).problem);
    for (const { value } of fields as readonly { value: string }[]) {
      const at = value.indexOf('=');
      if (at < 1) throw this.wrong(`"${printable(value)}" is not key=value`);
      const key = value.slice(0, at).trim().toLowerCase();
      this.#values.set(key, [...(this.#values.get(key) ?? []), value.slice(at + 1)]);
    }
  }

  /** @throws BuildError `usage` for a key that is not among `known` */
  refuseOthers(known: readonly string[]): void {
    for (const key of this.#values.keys()) {
      if (known.includes(key)) continue;
      const hint = didYouMean(key, known) ?? `its keys are ${known.join(', ')}`;
      throw this.wrong(`it has no key "${printable(key)}"`, hint);
    }
  }

  /** Every value of a key that may be repeated. */
  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** @throws BuildError `usage` when the key is given twice or has no value */
  one(key: string): string | undefined {
    const [value, second] = this.all(key);
    if (second !== undefined) throw this.wrong(`${key} is given twice`);
    if (value === '' || value?.includes('\0')) throw this.wrong(`${key} has no usable value`);
    return value;
  }

  needed(key: string, what: string): string {
    const value = this.one(key);
    if (value === undefined) throw this.wrong(`it has no ${key}`, `add ${key}=${what}`);
    return value;
  }

  flag(key: string): boolean {
    const value = this.one(key);
    const flag = value === undefined ? false : parseBoolean(value);
    if (flag === undefined) throw this.wrong(`${key}=${printable(value ?? '')} is neither true nor false`);
    return flag;
  }

  compression(): Compression | undefined {
    const value = this.one('compression');
    switch (value) {
      case undefined:
      case 'uncompressed':
      case 'gzip':
      case 'zstd':
        return value;
      default:
        throw this.wrong(
          `there is no compression "${printable(value)}"`,
          'the compressions are uncompressed, gzip and zstd',
        );
    }
  }

  level(compression: Compression): number | undefined {
    const value = this.one('compression-level');
    if (value === undefined) return undefined;
    const highest = compression === 'zstd' ? 22 : 9;
    if (/^\d{1,2}$/.test(value) && Number(value) <= highest) return Number(value);
    throw this.wrong(
      `compression-level=${printable(value)} is not a level of ${compression}`,
      `give a number from 0 to ${highest}`,
    );
  }

  wrong(why: string, hint?: string): BuildError {
    return new BuildError(
      'usage',
      `${this.#flag} ${printable(this.#text)}: ${why}`,
      hint === undefined ? {} : { hint },
    );
  }
}
