// The text of one instruction, continuation lines joined, that still knows where each character stood in the file.
import type { Position, SourceFile, SourceRange } from '../errors.ts';
import type { Text } from './instructions.ts';

/** A part of a MappedText: offsets, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export class MappedText {
  readonly file: SourceFile;
  readonly #parts: string[] = [];
  readonly #starts: number[] = [];
  readonly #places: Position[] = [];
  #length = 0;
  #joined: string | undefined;

  constructor(file: SourceFile) {
    this.file = file;
  }

  /** Appends a piece of a physical line that begins at `place`. */
  append(piece: string, place: Position): void {
    this.#parts.push(piece);
    this.#starts.push(this.#length);
    this.#places.push(place);
    this.#length += piece.length;
    this.#joined = undefined;
  }

  get text(): string {
    this.#joined ??= this.#parts.join('');
    return this.#joined;
  }

  /** Where the character at `offset` stands; behind the last one: right after it. */
  positionOf(offset: number): Position {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const place = this.#places[low] ?? { line: 1, column: 0 };
    return { line: place.line, column: place.column + offset - (this.#starts[low] ?? 0) };
  }

  /** The place in the file; it ends behind the last character rather than at the next line's first. */
  rangeOf({ start, end }: Span): SourceRange {
    const first = this.positionOf(start);
    if (end <= start) return { file: this.file, start: first, end: first };
    const last = this.positionOf(end - 1);
    return { file: this.file, start: first, end: { line: last.line, column: last.column + 1 } };
  }

  /** The part as a Text; `raw` when what it says differs from what is written (JSON escapes, quotes of flags). */
  textOf(span: Span, raw = this.text.slice(span.start, span.end)): Text {
    return { raw, range: this.rangeOf(span) };
  }
}
