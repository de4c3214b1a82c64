// Wildcards of COPY and ADD sources: the rules of Go's path/filepath.Match (https://pkg.go.dev/path/filepath#Match),
// which is what `docker build` documents. Names are bytes; `?` and `[...]` match one UTF-8 character, or one byte
// where the bytes are no UTF-8. Matching is linear: a `*` never has to be tried again once a later one matched.
import { BuildError, printable } from '../errors.ts';

/** One thing that a pattern asks for; `literal` and `class` never match `/` unless they say so. */
type Token =
  | { readonly kind: 'literal'; readonly rune: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  | {
      readonly kind: 'class';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [number, number])[];
    };

export interface Glob {
  /** Whether the whole of `name` (a byte path) matches. */
  matches(name: string): boolean;
  /** A class of the pattern accepts `/`, as those of Go do: a match may have more components than the pattern. */
  readonly mayCrossSlash: boolean;
}

/** Bytes that are no UTF-8 become numbers above every character, so that they equal only themselves. */
const invalidByte = 0x110000;
const slash = 0x2f;
const backslash = 0x5c;

/** The characters of a byte string (latin1) that holds UTF-8, as Go would decode them. */
export function runesOf(bytes: string): number[] {
  const runes: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes.charCodeAt(i);
    if (lead < 0x80) {
      runes.push(lead);
      i++;
      continue;
    }
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    const text = Buffer.from(bytes.slice(i, i + length), 'latin1').toString('utf8');
    const rune = text.codePointAt(0) ?? 0xfffd;
    const whole = rune !== 0xfffd && String.fromCodePoint(rune).length === text.length;
    const replacement = bytes.startsWith('\u00ef\u00bf\u00bd', i);
    if (whole || replacement) {
      runes.push(rune);
      i += length;
    } else {
      runes.push(invalidByte + lead);
      i++;
    }
  }
  return runes;
}

/** Whether `pattern` has an unescaped `*`, `?` or `[`. */
export function hasWildcards(pattern: string): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i];
    if (c === '\\') i++;
    else if (c === '*' || c === '?' || c === '[') return true;
  }
  return false;
}

/**
 * @param pattern as bytes (latin1)
 * @throws BuildError `dockerfile` when the pattern is malformed
 */
export function compileGlob(pattern: string): Glob {
  const tokens = tokenize(pattern);
  if (tokens === undefined) {
    const shown = Buffer.from(pattern, 'latin1').toString('utf8');
    throw new BuildError('dockerfile', `the pattern ${printable(shown)} is malformed`, {
      hint: 'a [ needs its ], a range needs both ends, and a pattern cannot end with a backslash',
    });
  }
  return {
    matches: name => matchTokens(tokens, runesOf(name)),
    mayCrossSlash: tokens.some(token => token.kind === 'class' && accepts(token, slash)),
  };
}

/** Whether Go's filepath.Match would take `pattern`. */
export function isValidGlob(pattern: string): boolean {
  return tokenize(pattern) !== undefined;
}

function tokenize(pattern: string): Token[] | undefined {
  const runes = runesOf(pattern);
  const tokens: Token[] = [];
  for (let i = 0; i < runes.length; i++) {
    const rune = runes[i] ?? 0;
    if (rune === 0x2a) {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (rune === 0x3f) tokens.push({ kind: 'any' });
    else if (rune === 0x5b) {
      const found = readClass(runes, i + 1);
      if (found === undefined) return undefined;
      tokens.push(found.token);
      i = found.end;
    } else if (rune === backslash) {
      i++;
      const escaped = runes[i];
      if (escaped === undefined) return undefined;
      tokens.push({ kind: 'literal', rune: escaped });
    } else tokens.push({ kind: 'literal', rune });
  }
  return tokens;
}

/** Reads a class whose `[` stands before `start`. @returns the place of its `]` too */
function readClass(runes: readonly number[], start: number): { token: Token; end: number } | undefined {
  let i = start;
  const negated = runes[i] === 0x5e;
  if (negated) i++;
  const ranges: [number, number][] = [];
  const one = (): number | undefined => {
    let rune = runes[i];
    if (rune === undefined || rune === 0x2d || rune === 0x5d || rune >= invalidByte) return undefined;
    if (rune === backslash) {
      i++;
      rune = runes[i];
    }
    i++;
    return i < runes.length ? rune : undefined;
  };
  for (;;) {
    if (runes[i] === 0x5d && ranges.length > 0) break;
    const low = one();
    if (low === undefined) return undefined;
    let high: number | undefined = low;
    if (runes[i] === 0x2d) {
      i++;
      high = one();
      if (high === undefined) return undefined;
    }
    ranges.push([low, high]);
  }
  return { token: { kind: 'class', negated, ranges }, end: i };
}

function accepts(token: Token, rune: number): boolean {
  switch (token.kind) {
    case 'literal':
      return token.rune === rune;
    case 'any':
    case 'star':
      return rune !== slash;
    case 'class': {
      const value = rune >= invalidByte ? 0xfffd : rune;
      return token.ranges.some(([low, high]) => low <= value && value <= high) !== token.negated;
    }
  }
}

/** Greedy matching with one point to come back to: a `*` cannot pass a `/`, so an earlier one need not be tried again. */
function matchTokens(tokens: readonly Token[], name: readonly number[]): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const token = tokens[next];
    const rune = name[at] ?? 0;
    if (token?.kind === 'star') {
      star = next++;
      starAt = at;
    } else if (token !== undefined && accepts(token, rune)) {
      at++;
      next++;
    } else if (star >= 0 && name[starAt] !== slash) {
      at = ++starAt;
      next = star + 1;
    } else return false;
  }
  while (tokens[next]?.kind === 'star') next++;
  return next === tokens.length;
}
