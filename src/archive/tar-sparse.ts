// Sparse files in tar: GNU's old type S and the PAX formats 0.0, 0.1 and 1.0 (GNU tar manual, "Sparse Formats").
// https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html
// A map lists the parts that are stored; everything between them is zeros.
import { blockSize, malformed, numberField } from './tar-header.ts';
import { decimal } from './tar-pax.ts';

export interface SparsePart {
  readonly offset: number;
  readonly length: number;
}

/**
 * Checks that the parts are in order, do not overlap, lie in the file and add up to what is stored.
 * @throws BuildError `integrity`
 */
export function checkSparseMap(map: readonly SparsePart[], realSize: number, storedSize: number): void {
  let end = 0;
  let stored = 0;
  for (const part of map) {
    if (part.offset < end || part.length < 0) throw malformed('the map of a sparse file is out of order');
    end = part.offset + part.length;
    stored += part.length;
    if (end > realSize) throw malformed('the map of a sparse file reaches past its end');
  }
  if (stored !== storedSize) throw malformed('the map of a sparse file does not match what is stored');
}

/** @throws BuildError `integrity` when the numbers are no pairs */
export function pairs(numbers: readonly number[]): SparsePart[] {
  if (numbers.length % 2 !== 0) throw malformed('the map of a sparse file ends in the middle');
  const map: SparsePart[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    map.push({ offset: numbers[i] ?? 0, length: numbers[i + 1] ?? 0 });
  }
  return map;
}

/** Up to `count` pairs of 12-byte numbers from `at`; an empty one ends them. */
function oldParts(block: Buffer, at: number, count: number, into: SparsePart[]): void {
  for (let i = 0; i < count; i++) {
    const start = at + i * 24;
    if (block[start] === 0) return;
    const offset = numberField(block, start, 12, 'sparse offset');
    into.push({ offset, length: numberField(block, start + 12, 12, 'sparse length') });
  }
}

/** The sparse part of a type S header. @returns the real size and whether extension blocks follow */
export function oldSparseHeader(
  buffer: Buffer,
  at: number,
  into: SparsePart[],
): { realSize: number; extended: boolean } {
  oldParts(buffer, at + 386, 4, into);
  const realSize = numberField(buffer, at + 483, 12, 'real size');
  if (realSize < 0) throw malformed('a sparse file has a negative size');
  return { realSize, extended: buffer[at + 482] !== 0 };
}

/** An extension block of a type S header. @returns whether another follows */
export function oldSparseExtension(block: Buffer, into: SparsePart[]): boolean {
  oldParts(block, 0, 21, into);
  return block[504] !== 0;
}

/** Collects the map that format 1.0 puts before the data: decimal lines, the number of parts first, padded to a block. */
export class SparseMapText {
  readonly #numbers: number[] = [];
  #line = '';
  #wanted: number | undefined;

  /** Takes one block. @returns the map once it is complete, which is always at the end of a block */
  push(block: Buffer): SparsePart[] | undefined {
    const lines = (this.#line + block.toString('latin1', 0, blockSize)).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#wanted === undefined) this.#wanted = decimal(line, 'the number of sparse parts') * 2;
      else this.#numbers.push(decimal(line, 'a sparse offset'));
      if (this.#numbers.length === this.#wanted) return pairs(this.#numbers);
    }
    if (this.#line.length > 32) throw malformed('the map of a sparse file is no list of numbers');
    return undefined;
  }
}
