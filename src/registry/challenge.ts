// WWW-Authenticate (RFC 9110, 11.6.1): a list of challenges, each a scheme with parameters. Read in one pass without
// looking back, and no further than a bound, since a registry may send anything.

export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case; the first of equal names counts. */
  readonly params: ReadonlyMap<string, string>;
}

const maxHeaderChars = 16 * 1024;
const maxChallenges = 16;
const maxParams = 64;
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;

/** @returns the challenges that could be read; what is malformed ends the list */
export function parseChallenges(header: string | undefined): readonly Challenge[] {
  const text = (header ?? '').slice(0, maxHeaderChars);
  const challenges: { scheme: string; params: Map<string, string> }[] = [];
  let at = skip(text, 0, /[\s,]*/y);
  while (at < text.length && challenges.length <= maxChallenges) {
    const word = take(text, at, token);
    if (!word) break;
    at += word.length;
    const equals = skip(text, at, /\s*/y);
    const current = challenges.at(-1);
    if (text[equals] === '=' && current) {
      const value = readValue(text, skip(text, equals + 1, /\s*/y));
      if (!value || current.params.size >= maxParams) break;
      const name = word.toLowerCase();
      if (!current.params.has(name)) current.params.set(name, value.text);
      at = value.end;
    } else if (/[\s,]/.test(text[at] ?? ' ')) {
      challenges.push({ scheme: word.toLowerCase(), params: new Map() });
    } else break;
    at = skip(text, at, /[\s,]*/y);
  }
  return challenges.slice(0, maxChallenges);
}

function skip(text: string, from: number, pattern: RegExp): number {
  return from + take(text, from, pattern).length;
}

function take(text: string, from: number, pattern: RegExp): string {
  pattern.lastIndex = from;
  return pattern.exec(text)?.[0] ?? '';
}

/** A token or a quoted string; undefined when the quote never ends or nothing is there. */
function readValue(text: string, from: number): { text: string; end: number } | undefined {
  if (text[from] !== '"') {
    const word = take(text, from, /[^\s,"]+/y);
    return word ? { text: word, end: from + word.length } : undefined;
  }
  let value = '';
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '"') return { text: value, end: at + 1 };
    if (text[at] === '\\') at += 1;
    value += text[at] ?? '';
  }
  return undefined;
}
