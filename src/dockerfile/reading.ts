// What the readers of the single instructions share: the text they read and where they report.
import type { Diagnostic, SourceRange } from '../errors.ts';
import { trimmed } from './chars.ts';
import type { Directives, Heredoc, Instruction } from './instructions.ts';
import type { Keyword } from './keywords.ts';
import type { MappedText, Span } from './mapped-text.ts';
import type { Head } from './split.ts';

/** The members that all instructions have. */
export type Common = Pick<Instruction, 'keyword' | 'range' | 'original' | 'comments' | 'skip'>;

/** One instruction while it is read. */
export interface Reading {
  readonly name: Keyword;
  readonly source: MappedText;
  readonly head: Head;
  readonly common: Common;
  readonly heredocs: readonly Heredoc[];
  readonly escape: Directives['escape'];
  /** What is found is added here. */
  readonly problems: Diagnostic[];
}

/** Reports an error; returns undefined, which is what a reader returns for an instruction it could not read. */
export function refuse(
  reading: Reading,
  rule: string,
  message: string,
  place: Span | SourceRange = reading.head.keyword,
  hint?: string,
): undefined {
  const range = 'file' in place ? place : reading.source.rangeOf(place);
  reading.problems.push({ severity: 'error', rule, message, ...(hint === undefined ? {} : { hint }), range });
}

/** The arguments as written. */
export function restOf({ source, head }: Reading): string {
  return source.text.slice(head.rest.start, head.rest.end);
}

/** Reports that there are no arguments where some are needed. */
export function refuseEmpty(reading: Reading, usage: string): undefined {
  return refuse(
    reading,
    'missing-argument',
    `${reading.name} needs an argument`,
    undefined,
    `write ${usage}`,
  );
}

/** The common members of an instruction whose keyword is at the beginning of `head`. */
export function commonOf(
  source: MappedText,
  head: Head,
  range: SourceRange,
  comments: readonly string[],
  skip: readonly string[],
): Common {
  const whole = trimmed(source.text, head.keyword.start, source.text.length);
  return {
    keyword: source.textOf(head.keyword),
    range: { ...range, start: source.positionOf(head.keyword.start) },
    original: source.text.slice(whole.start, whole.end),
    comments,
    skip,
  };
}
