// How the text of an instruction falls apart: keyword, flags, then words, `key=value` pairs or a JSON list. Nothing is
// expanded and no quote is removed here, except those of flags, which the language reads more simply than words.
import { isBlank, isSpace, trimmed } from './chars.ts';
import type { Directives } from './instructions.ts';
import type { Span } from './mapped-text.ts';

/** A span with what it says, where that is not what is written there. */
export interface Token extends Span {
  readonly raw: string;
}

/** Keyword, flags and the rest without white space around it. */
export interface Head {
  readonly keyword: Span;
  readonly flags: readonly Token[];
  readonly rest: Span;
}

/** Splits an instruction that begins at `from` (white space before the keyword is allowed). */
export function splitHead(text: string, from: number): Head {
  const all = trimmed(text, from, text.length);
  let end = all.start;
  while (end < all.end && !isBlank(text[end])) end++;
  const { flags, next } = splitFlags(text, end, all.end);
  return { keyword: { start: all.start, end }, flags, rest: trimmed(text, next, all.end) };
}

/** Words that begin with `--`, up to the first that does not or a bare `--`. The escape is always the backslash. */
function splitFlags(text: string, from: number, to: number): { flags: Token[]; next: number } {
  const flags: Token[] = [];
  let at = from;
  for (;;) {
    while (at < to && isSpace(text[at])) at++;
    if (!text.startsWith('--', at) || at >= to) return { flags, next: at };
    const flag = readFlag(text, at, to);
    at = flag.end;
    if (flag.raw === '--') return { flags, next: at };
    flags.push(flag);
  }
}

function readFlag(text: string, start: number, to: number): Token {
  let raw = '';
  let quote = '';
  let at = start;
  for (; at < to; at++) {
    let char = text[at] ?? '';
    if (quote === '' && isSpace(char)) break;
    if (quote === '' && (char === "'" || char === '"')) {
      quote = char;
      continue;
    }
    if (char === quote) {
      quote = '';
      continue;
    }
    if (char === '\\') {
      at++;
      if (at >= to) break;
      char = text[at] ?? '';
    }
    raw += char;
  }
  return { start, end: Math.min(at, to), raw };
}

/** Words separated by blanks; quotes mean nothing. */
export function splitBlanks(text: string, { start, end }: Span): Span[] {
  const words: Span[] = [];
  let at = start;
  while (at < end) {
    const from = at;
    while (at < end && !isBlank(text[at])) at++;
    if (at > from) words.push({ start: from, end: at });
    while (at < end && isBlank(text[at])) at++;
  }
  return words;
}

/** Words separated by white space outside quotes; quotes and escapes stay in them for the expansion to remove. */
export function splitQuoted(text: string, { start, end }: Span, escapeChar: Directives['escape']): Token[] {
  const words: Token[] = [];
  let at = start;
  for (;;) {
    while (at < end && isSpace(text[at])) at++;
    if (at >= end) return words;
    const word = readQuotedWord(text, at, end, escapeChar);
    at = word.end;
    if (word.raw !== '') words.push(word);
  }
}

function readQuotedWord(text: string, start: number, to: number, escapeChar: Directives['escape']): Token {
  let raw = '';
  let quote = '';
  let at = start;
  for (; at < to; at++) {
    const char = text[at] ?? '';
    if (quote === '' && isSpace(char)) break;
    // The escape means nothing in single quotes, and at the end of the text it is dropped.
    if (char === escapeChar && quote !== "'") {
      if (at + 1 === to) continue;
      raw += char + (text[++at] ?? '');
      continue;
    }
    if (char === quote) quote = '';
    else if (quote === '' && (char === "'" || char === '"')) quote = char;
    raw += char;
  }
  return { start, end: at, raw };
}

/** A `key=value` word, or a key alone. */
export interface Pair {
  readonly key: Token;
  /** Absent: the word has no `=`. */
  readonly value?: Token;
}

/** Cuts a word at its first `=`. */
export function splitPair(text: string, word: Token): Pair {
  const equals = word.raw.indexOf('=');
  if (equals === -1) return { key: word };
  // Nothing before the `=` differs from the text, so the offset is the same in both.
  const at = text.indexOf('=', word.start);
  return {
    key: { start: word.start, end: at, raw: word.raw.slice(0, equals) },
    value: { start: at + 1, end: word.end, raw: word.raw.slice(equals + 1) },
  };
}

/** What an instruction that may have JSON form holds. */
export type JsonList =
  | { readonly kind: 'list'; readonly items: readonly Token[] }
  /** A JSON array with something else than strings in it. */
  | { readonly kind: 'mixed' }
  /** Not JSON: the text is in shell form. `looksLike`: it was probably meant to be JSON. */
  | { readonly kind: 'none'; readonly looksLike: boolean };

export function readJsonList(text: string, { start, end }: Span): JsonList {
  if (text[start] !== '[') return { kind: 'none', looksLike: false };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.slice(start, end));
  } catch {
    return { kind: 'none', looksLike: /^\[\s*["'“]/.test(text.slice(start, Math.min(end, start + 100))) };
  }
  if (!Array.isArray(parsed) || !parsed.every(item => typeof item === 'string')) return { kind: 'mixed' };
  const spans = jsonStrings(text, start, end);
  const strings: string[] = parsed;
  return {
    kind: 'list',
    items: strings.map((raw, i) => ({ ...(spans[i] ?? { start, end }), raw: wellFormed(raw) })),
  };
}

/** Half of a surrogate pair, which JSON can spell, becomes U+FFFD, as in Go. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

/** The places of the strings, quotes included, in valid JSON that holds nothing but strings. */
function jsonStrings(text: string, from: number, to: number): Span[] {
  const spans: Span[] = [];
  for (let at = from; at < to; at++) {
    if (text[at] !== '"') continue;
    const start = at++;
    while (at < to && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    spans.push({ start, end: at + 1 });
  }
  return spans;
}
