// Character classes of the Dockerfile language. They are Go's, because the reference implementation is written in
// it: JavaScript's `\s` and `trim` differ in U+0085 and U+FEFF.
import { printable } from '../errors.ts';

/** Go's unicode.IsSpace for one UTF-16 unit. */
export function isSpace(char: string | undefined): boolean {
  switch (char) {
    case ' ':
    case '\t':
    case '\n':
    case '\v':
    case '\f':
    case '\r':
      return true;
    case undefined:
      return false;
    default:
      return char > '\u007f' && /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/.test(char);
  }
}

/** What separates words of an instruction: narrower than isSpace (no line feed, nothing beyond ASCII). */
export function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t' || char === '\v' || char === '\f' || char === '\r';
}

/** `text[from, to)` without white space at its ends, as offsets. */
export function trimmed(text: string, from: number, to: number): { start: number; end: number } {
  let start = from;
  let end = to;
  while (start < end && isSpace(text[start])) start++;
  while (end > start && isSpace(text[end - 1])) end--;
  return { start, end };
}

/** A word for a message: in quotes, harmless and not too long. */
export function quoted(text: string): string {
  return `"${printable(text.length > 80 ? `${text.slice(0, 77)}...` : text)}"`;
}

/** `text` without white space at its ends. */
export function trim(text: string): string {
  const { start, end } = trimmed(text, 0, text.length);
  return text.slice(start, end);
}
