// Here-documents: `<<WORD`, `<<-WORD`, quoted words, several in a line.
// https://docs.docker.com/reference/dockerfile/#here-documents
import { splitWords, WordError } from './words.ts';

/** A heredoc that a line opens. */
export interface HeredocMark {
  /** The word, unquoted: the line that ends the body. */
  readonly name: string;
  /** Not quoted: COPY and ADD expand variables in the body. */
  readonly expand: boolean;
  /** `<<-`: leading tabs are removed. */
  readonly chomp: boolean;
}

/** Optional file descriptor, `<<`, optional dash, the word with its quotes. */
const MARK = /^\d*<<(-?)[\t\n\f\r ]*([^<]*)$/;

/** The heredocs that a line opens, in order. A line whose quotes do not match up opens none. */
export function heredocMarks(line: string): HeredocMark[] {
  if (!line.includes('<<')) return [];
  return (tryWords(line, true) ?? []).map(heredocMark).filter(mark => mark !== undefined);
}

/** The heredoc that a word opens, undefined when it is an ordinary word. */
export function heredocMark(word: string): HeredocMark | undefined {
  const match = MARK.exec(word);
  const written = match?.[2] ?? '';
  if (match === null || written === '') return undefined;
  const plain = tryWords(written, false) ?? [];
  const quoted = tryWords(written, true, false) ?? [];
  const name = plain[0];
  if (name === undefined || plain.length !== 1) return undefined;
  // A quote that took effect is in the second reading alone; an escaped one is in both.
  return { name, expand: countQuotes(name) === countQuotes(quoted[0] ?? ''), chomp: match[1] === '-' };
}

function tryWords(text: string, verbatim: boolean, verbatimEscapes = verbatim): string[] | undefined {
  try {
    return splitWords(text, verbatim, verbatimEscapes);
  } catch (error) {
    if (error instanceof WordError) return undefined;
    throw error;
  }
}

function countQuotes(text: string): number {
  return text.replace(/[^'"]/g, '').length;
}

/** `body` without the tabs at the beginning of its lines. */
export function withoutLeadingTabs(body: string): string {
  return body.replace(/(^|\n)\t+/g, '$1');
}
