// One pattern of an ignore file or of COPY --exclude, after the rules of Docker
// (https://docs.docker.com/build/concepts/context/#dockerignore-files, implemented by github.com/moby/patternmatcher):
// cleaned, then matched as a literal, a prefix, a suffix, or by the expression that Docker translates it to.
//
// minimatch is the house's glob package and takes the everyday patterns (literal text and single `*`), where it means
// the same. It does not take the rest: `**` of Docker may begin inside a name and crosses newlines differently, its
// classes and backslashes are those of a Go expression, and minimatch's translation to a backtracking expression takes
// minutes on hostile patterns. Those run on linear-regex.ts.
import { Minimatch } from 'minimatch';
import { bytePath } from '../tree/entry.ts';
import { isValidGlob, runesOf } from './glob.ts';
import { compileRegex, type LinearRegex } from './linear-regex.ts';

export interface PathPattern {
  /** Cleaned, without the `!`. */
  readonly text: string;
  /** Starts with `!`: what it matches is taken back in. */
  readonly negated: boolean;
  /** Whether the pattern matches this very path (a byte path); parents are the caller's. */
  matches(path: string): boolean;
}

/** Go's path.Clean. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!rooted) kept.push('..');
  }
  const joined = kept.join('/');
  return rooted ? `/${joined}` : joined || '.';
}

/** What Go's strings.TrimSpace removes. */
export function trimSpace(text: string): string {
  return text.replace(/^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/, '').replace(
    // The end apart from the start: one expression with an alternative would be quadratic in inner blanks.
    /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/,
    '',
  );
}

/**
 * @param source as written, without surrounding blanks, not empty
 * @returns the pattern, or why it is none
 */
export function compilePattern(source: string): PathPattern | { readonly problem: string } {
  const cleaned = cleanPath(source);
  const negated = cleaned.startsWith('!');
  const text = negated ? cleaned.slice(1) : cleaned;
  if (text === '') return { problem: 'the pattern ! excludes nothing' };
  if (text.includes('\0')) return { problem: 'no name holds a NUL character' };
  if (!isValidGlob(bytePath(text))) return { problem: 'syntax error in pattern' };
  try {
    return { text, negated, matches: matcher(text) };
  } catch {
    return { problem: 'syntax error in pattern' };
  }
}

/** Names may hold anything; only plain text and single stars of a whole ASCII pattern are left to minimatch. */
const everyday = /^(?!.*\*\*)[\w./ *@=,~%:;<>&'"-]+$/;

function matcher(text: string): (path: string) => boolean {
  const bytes: string = bytePath(text);
  const { kind, expression } = translate(text);
  if (kind === 'exact') return path => path === bytes;
  if (kind === 'prefix') return prefixTest(bytes.slice(0, -2));
  if (kind === 'suffix') return suffixTest(bytes.slice(2));
  const guard = literalEnds(bytes);
  const test = everyday.test(text) ? everydayTest(text) : expressionTest(expression);
  return path => guard(path) && test(path);
}

const prefixTest = (prefix: string) => (path: string) => path.startsWith(prefix);

function suffixTest(suffix: string): (path: string) => boolean {
  return path => path.endsWith(suffix) || (suffix.startsWith('/') && path === suffix.slice(1));
}

function everydayTest(text: string): (path: string) => boolean {
  const pattern = new Minimatch(text, {
    dot: true,
    nobrace: true,
    nocomment: true,
    noext: true,
    noglobstar: true,
    nonegate: true,
    optimizationLevel: 0,
    platform: 'linux',
  });
  return path => pattern.match(path);
}

function expressionTest(expression: string): (path: string) => boolean {
  const regex: LinearRegex = compileRegex(expression);
  return path => regex.test(runesOf(path).map(rune => (rune > 0x10ffff ? 0xfffd : rune)));
}

/** A cheap test that nearly every path fails: the plain text at the start, at the end and the longest in between. */
function literalEnds(bytes: string): (path: string) => boolean {
  if (/[|{}^$+()\\\]]/.test(bytes)) return () => true;
  const head = bytes.slice(0, Math.max(bytes.search(/[*?]/), 0));
  const parts = bytes.split(/[*?/]+/);
  const tail = parts.at(-1) ?? '';
  const longest = parts.reduce((best, part) => (part.length > best.length ? part : best), '');
  return path => path.endsWith(tail) && path.startsWith(head) && path.includes(longest);
}

interface Translation {
  readonly kind: 'exact' | 'prefix' | 'suffix' | 'expression';
  readonly expression: string;
}

/** The expression that Docker makes; characters with a meaning there and none in patterns are escaped, save `|{}^`. */
function translate(text: string): Translation {
  const runes = [...text];
  let kind: Translation['kind'] = 'exact';
  let expression = '^';
  for (let i = 0, turn = 0; i < runes.length; turn++) {
    const c = runes[i++] ?? '';
    if (c === '*' && runes[i] === '*') {
      i++;
      if (runes[i] === '/') i++;
      const last = i >= runes.length;
      if (last && kind === 'exact') kind = 'prefix';
      else {
        expression += last ? '.*' : '(.*/)?';
        kind = 'expression';
      }
      if (turn === 0) kind = 'suffix';
    } else if (c === '*' || c === '?') {
      expression += c === '*' ? '[^/]*' : '[^/]';
      kind = 'expression';
    } else if ('.+()$'.includes(c)) expression += `\\${c}`;
    else if (c === '\\' && i < runes.length) {
      expression += `\\${runes[i++]}`;
      kind = 'expression';
    } else {
      expression += c;
      if (c === '[' || c === ']') kind = 'expression';
    }
  }
  return { kind, expression: `${expression}$` };
}
