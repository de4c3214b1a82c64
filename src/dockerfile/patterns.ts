// The patterns of `${name#pattern}`, `%` and `/`: `*` is any text and `?` any character, both within one line; there
// are no bracket expressions. The matcher never backtracks over a `*`, so no pattern is exponential, and it counts its
// steps, so the product of a long pattern and a long value ends in an error rather than in minutes.

/** A pattern that cannot be used; words.ts adds which expansion it stands in. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** Character comparisons that one expansion may cost: a fraction of a second. */
const MAX_STEPS = 50_000_000;

const NEWLINE = 10;
/** Stands for `?` in a piece. */
const ANY = -1;

/** The text between stars: code points, or ANY. */
type Piece = readonly number[];

/** `value` without the shortest (or longest) start that matches `pattern`. */
export function trimStart(value: string, pattern: string, longest: boolean): string {
  const text = codePoints(value);
  const matcher = new Matcher(text, parsePattern(pattern));
  const end = matcher.endFrom(0, longest);
  return end === undefined ? value : fromCodePoints(text.slice(end));
}

/** `value` without the shortest (or longest) end that matches `pattern`. */
export function trimEnd(value: string, pattern: string, longest: boolean): string {
  const text = codePoints(value).reverse();
  const pieces = parsePattern(pattern)
    .map(piece => [...piece].reverse())
    .reverse();
  const end = new Matcher(text, pieces).endFrom(0, longest);
  return end === undefined ? value : fromCodePoints(text.slice(end).reverse());
}

/** The parts of `value` that match `pattern`, leftmost and longest first, as code point ranges of `text`. */
export function findMatches(
  value: string,
  pattern: string,
  all: boolean,
): { text: readonly number[]; matches: { start: number; end: number }[] } {
  const text = codePoints(value);
  const matcher = new Matcher(text, parsePattern(pattern));
  const matches: { start: number; end: number }[] = [];
  let from = 0;
  let previousEnd = -1;
  while (from <= text.length) {
    const found = matcher.find(from);
    if (found === undefined) break;
    const empty = found.start === found.end;
    // Go does not report an empty match right behind another match.
    if (!(empty && found.start === previousEnd)) matches.push(found);
    if (!all) break;
    previousEnd = found.end;
    from = empty ? found.end + 1 : found.end;
  }
  return { text, matches };
}

export function codePoints(text: string): number[] {
  return Array.from(text, char => char.codePointAt(0) ?? 0);
}

export function fromCodePoints(points: readonly number[]): string {
  let out = '';
  for (let i = 0; i < points.length; i += 8192) {
    out += String.fromCodePoint(...points.slice(i, i + 8192));
  }
  return out;
}

/** Splits a pattern at its stars. `\*`, `\?` and `\\` are literal; a backslash before `}` and `/` is dropped. */
function parsePattern(pattern: string): Piece[] {
  const pieces: number[][] = [];
  let piece: number[] = [];
  const points = codePoints(pattern);
  for (let i = 0; i < points.length; i++) {
    const char = String.fromCodePoint(points[i] ?? 0);
    if (char === '*') {
      pieces.push(piece);
      piece = [];
    } else if (char === '?') piece.push(ANY);
    else if (char === '\\') {
      i++;
      const next = points[i];
      const escaped = next === undefined ? '' : String.fromCodePoint(next);
      if (next === undefined || !'*?\\}/'.includes(escaped)) {
        throw new PatternError(`invalid escape \\${escaped} in the pattern ${JSON.stringify(pattern)}`);
      }
      piece.push(next);
    } else piece.push(points[i] ?? 0);
  }
  pieces.push(piece);
  return pieces;
}

class Matcher {
  readonly #text: readonly number[];
  readonly #pieces: readonly Piece[];
  readonly #crossesLines: boolean;
  #steps = 0;

  constructor(text: readonly number[], pieces: readonly Piece[]) {
    this.#text = text;
    this.#pieces = pieces;
    this.#crossesLines = pieces.some(piece => piece.includes(NEWLINE));
  }

  /** Where a match that starts at `start` ends, undefined when there is none. */
  endFrom(start: number, longest: boolean): number | undefined {
    const first = this.#pieces[0] ?? [];
    if (!this.#isAt(first, start)) return undefined;
    let at = start + first.length;
    const last = this.#pieces.length - 1;
    for (let i = 1; i <= last; i++) {
      const piece = this.#pieces[i] ?? [];
      // The earliest place for every piece but the last leaves the most room for those after it.
      const found = i === last && longest ? this.#lastIn(piece, at) : this.#firstIn(piece, at);
      if (found === undefined) return undefined;
      at = found + piece.length;
    }
    return at;
  }

  /** The leftmost match from `from` on, as long as possible. */
  find(from: number): { start: number; end: number } | undefined {
    let start = from;
    while (start <= this.#text.length) {
      this.#count(1);
      if (this.#isAt(this.#pieces[0] ?? [], start)) {
        const end = this.endFrom(start, true);
        if (end !== undefined) return { start, end };
        // A match within one line failed although it took the earliest places: later starts in that line fail too.
        if (!this.#crossesLines && this.#pieces.length > 1) {
          start = this.#lineEnd(start) + 1;
          continue;
        }
      }
      start++;
    }
    return undefined;
  }

  #isAt(piece: Piece, at: number): boolean {
    if (at + piece.length > this.#text.length) return false;
    for (let i = 0; i < piece.length; i++) {
      const wanted = piece[i];
      const found = this.#text[at + i];
      if (wanted === ANY ? found === NEWLINE : wanted !== found) {
        this.#count(i + 1);
        return false;
      }
    }
    this.#count(piece.length);
    return true;
  }

  /** The first place of `piece` that a star beginning at `at` reaches. */
  #firstIn(piece: Piece, at: number): number | undefined {
    for (let i = at; i + piece.length <= this.#text.length; i++) {
      this.#count(1);
      if (this.#isAt(piece, i)) return i;
      if (this.#text[i] === NEWLINE) return undefined;
    }
    return undefined;
  }

  /** The last such place. */
  #lastIn(piece: Piece, at: number): number | undefined {
    for (let i = Math.min(this.#lineEnd(at), this.#text.length - piece.length); i >= at; i--) {
      this.#count(1);
      if (this.#isAt(piece, i)) return i;
    }
    return undefined;
  }

  #lineEnd(at: number): number {
    const found = this.#text.indexOf(NEWLINE, at);
    const end = found === -1 ? this.#text.length : found;
    this.#count(end - at);
    return end;
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) throw new PatternError('the pattern and the value are too long to compare');
  }
}
