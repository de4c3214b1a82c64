// From a file to the text of its instructions: physical lines, directives, comments, continuations, heredoc bodies.
// https://docs.docker.com/reference/dockerfile/#format
import type { Diagnostic, SourceFile, SourceRange } from '../errors.ts';
import { isSpace, quoted, trim, trimmed } from './chars.ts';
import { DirectiveReader, parseCheck } from './directives.ts';
import { type HeredocMark, heredocMarks, withoutLeadingTabs } from './heredocs.ts';
import type { Directives, Heredoc } from './instructions.ts';
import { keywordOf } from './keywords.ts';
import { MappedText } from './mapped-text.ts';
import { readJsonList, splitHead } from './split.ts';

/** Longest physical line and largest file, in bytes of UTF-8. The first is the reference implementation's. */
export const MAX_LINE_BYTES = 65_535;
export const MAX_FILE_BYTES = 2 * 1024 * 1024;

export interface ScannedInstruction {
  /** Continuation lines joined; no white space at the beginning. */
  readonly source: MappedText;
  readonly heredocs: readonly Heredoc[];
  readonly range: SourceRange;
  readonly comments: readonly string[];
  readonly skip: readonly string[];
}

export interface Scan {
  readonly directives: Directives;
  readonly instructions: readonly ScannedInstruction[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Never throws: what is wrong is among the diagnostics, and the rest is what could be read. */
export function scan(file: SourceFile): Scan {
  const size = Buffer.byteLength(file.text);
  if (size <= MAX_FILE_BYTES) return new Scanner(file).run();
  const message = `the file has ${size} bytes, and a Dockerfile may have at most ${MAX_FILE_BYTES}`;
  const start = { line: 1, column: 0 };
  const range = { file, start, end: start };
  return {
    directives: { escape: '\\' },
    instructions: [],
    diagnostics: [{ severity: 'error', rule: 'file-too-large', message, range }],
  };
}

interface Line {
  readonly number: number;
  /** With its line end. */
  readonly raw: string;
  /** Without. */
  readonly text: string;
}

const BOM = '\ufeff';
const EMPTY_CONTINUATION_URL = 'https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/';

class Scanner {
  readonly #file: SourceFile;
  readonly #problems: Diagnostic[] = [];
  readonly #directives: DirectiveReader;
  readonly #instructions: ScannedInstruction[] = [];
  #comments: string[] = [];
  #at = 0;
  #number = 0;

  constructor(file: SourceFile) {
    this.#file = file;
    this.#directives = new DirectiveReader(file, this.#problems);
  }

  run(): Scan {
    for (let line = this.#nextLine(); line !== undefined; line = this.#nextLine()) this.#readLine(line);
    return {
      directives: this.#directives.directives,
      instructions: this.#instructions,
      diagnostics: this.#problems,
    };
  }

  #nextLine(): Line | undefined {
    const { text } = this.#file;
    if (this.#at >= text.length) return undefined;
    const newline = text.indexOf('\n', this.#at);
    const end = newline === -1 ? text.length : newline + 1;
    const raw = text.slice(this.#at, end);
    this.#at = end;
    this.#number++;
    const line = { number: this.#number, raw, text: raw.replace(/[\r\n]+$/, '') };
    this.#checkLength(line);
    return line;
  }

  #checkLength({ raw, number }: Line): void {
    if (raw.length * 3 <= MAX_LINE_BYTES) return;
    const bytes = Buffer.byteLength(raw) - (raw.endsWith('\n') ? 1 : 0);
    if (bytes <= MAX_LINE_BYTES) return;
    const message = `the line has ${bytes} bytes, and a line may have at most ${MAX_LINE_BYTES}`;
    const hint = 'split it with a continuation character, or copy a file instead';
    const range = this.#rangeOf(number, 0, number, 0);
    this.#problems.push({ severity: 'error', rule: 'line-too-long', message, hint, range });
  }

  /** A line outside any instruction: blank, comment, directive, or the first line of an instruction. */
  #readLine(line: Line): void {
    const offset = line.number === 1 && line.text.startsWith(BOM) ? 1 : 0;
    const isDirective = this.#directives.read(line.text, line.number, offset);
    let start = offset;
    while (isSpace(line.text[start])) start++;
    if (start === line.text.length) this.#comments = [];
    else if (line.text[start] === '#') {
      if (!isDirective) this.#addComment(trim(line.text.slice(start + 1)));
    } else this.#readInstruction(line, start);
  }

  /** An empty comment ends a block of comments, as a blank line does. */
  #addComment(comment: string): void {
    if (comment === '') this.#comments = [];
    else this.#comments.push(comment);
  }

  #readInstruction(first: Line, start: number): void {
    const source = new MappedText(this.#file);
    let empty: Line | undefined;
    let line: Line | undefined = first;
    let from = start;
    while (line !== undefined) {
      const end = continuationAt(line.text, from, this.#directives.escape);
      source.append(line.text.slice(from, end), { line: line.number, column: from });
      if (end === undefined) break;
      from = 0;
      do {
        line = this.#nextLine();
        if (line !== undefined && isBlankLine(line.text)) empty ??= line;
      } while (line !== undefined && isSkipped(line.text));
    }
    if (empty !== undefined) this.#warnEmpty(empty);
    this.#finish(source);
  }

  #finish(source: MappedText): void {
    const heredocs: Heredoc[] = [];
    const whole = trimmed(source.text, 0, source.text.length);
    let { start, end } = source.rangeOf({ start: 0, end: whole.end });
    let from = 0;
    for (const mark of openedHeredocs(source.text)) {
      const place = findMark(source.text, mark, from);
      from = place.end;
      const heredoc = this.#readHeredoc(mark, source.rangeOf(place));
      if (heredoc === undefined) return;
      heredocs.push(heredoc);
      end = heredoc.range.end;
    }
    const comments = this.#comments;
    this.#comments = [];
    const range = { file: this.#file, start, end };
    this.#instructions.push({ source, heredocs, range, comments, skip: skippedRules(comments) });
  }

  #readHeredoc(mark: HeredocMark, opened: SourceRange): Heredoc | undefined {
    const lines: string[] = [];
    const first = this.#number + 1;
    let nearMiss: number | undefined;
    for (let line = this.#nextLine(); line !== undefined; line = this.#nextLine()) {
      const word = mark.chomp ? line.text.replace(/^\t+/, '') : line.text;
      if (word === mark.name) {
        const verbatim = lines.join('');
        const body = mark.chomp ? withoutLeadingTabs(verbatim) : verbatim;
        const range = this.#rangeOf(first, 0, line.number, line.text.length);
        return { ...mark, body, ...(body === verbatim ? {} : { verbatim }), range };
      }
      if (trim(line.text) === mark.name) nearMiss ??= line.number;
      lines.push(line.raw);
    }
    this.#problems.push(unterminated(mark, opened, nearMiss));
    return undefined;
  }

  #warnEmpty({ number, text }: Line): void {
    this.#problems.push({
      severity: 'warning',
      rule: 'NoEmptyContinuation',
      message: 'an instruction that goes on over several lines has an empty line in it',
      hint: 'remove the empty line, or make it a comment',
      range: this.#rangeOf(number, 0, number, text.length),
      url: EMPTY_CONTINUATION_URL,
    });
  }

  #rangeOf(line: number, column: number, endLine: number, endColumn: number): SourceRange {
    return { file: this.#file, start: { line, column }, end: { line: endLine, column: endColumn } };
  }
}

/**
 * Where the continuation character of a line stands, undefined when the instruction ends here. Blanks may follow it;
 * two escape characters in a row are none.
 */
function continuationAt(line: string, from: number, escapeChar: string): number | undefined {
  let end = line.length;
  while (end > from && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--;
  if (end === from || line[end - 1] !== escapeChar) return undefined;
  return end - 1 > from && line[end - 2] === escapeChar ? undefined : end - 1;
}

function isBlankLine(text: string): boolean {
  return trim(text) === '';
}

/** Inside an instruction comments and blank lines do not count. */
function isSkipped(text: string): boolean {
  const { start, end } = trimmed(text, 0, text.length);
  return start === end || text[start] === '#';
}

const WITH_HEREDOCS = new Set(['RUN', 'COPY', 'ADD']);

/** The heredocs that an instruction opens: only RUN, COPY and ADD do, also behind ONBUILD, never in JSON form. */
function openedHeredocs(text: string): HeredocMark[] {
  if (!text.includes('<<')) return [];
  let head = splitHead(text, 0);
  let keyword = keywordOf(text.slice(head.keyword.start, head.keyword.end));
  if (keyword === 'ONBUILD') {
    head = splitHead(text, head.rest.start);
    keyword = keywordOf(text.slice(head.keyword.start, head.keyword.end));
  }
  if (keyword === undefined || !WITH_HEREDOCS.has(keyword)) return [];
  return readJsonList(text, head.rest).kind === 'none' ? heredocMarks(text) : [];
}

/** Where `mark` stands in the text, from the `<<` to the end of its word. */
function findMark(text: string, mark: HeredocMark, from: number): { start: number; end: number } {
  let start = text.indexOf('<<', from);
  for (let next = start; next !== -1; next = text.indexOf('<<', next + 1)) {
    const word = text.slice(next + 2, next + 102).replace(/^-?[\s'"\\]*/, '');
    if (!word.startsWith(mark.name.slice(0, 1))) continue;
    start = next;
    break;
  }
  let end = start + 2;
  while (end < text.length && !isSpace(text[end])) end++;
  return { start, end };
}

function unterminated(mark: HeredocMark, range: SourceRange, nearMiss: number | undefined): Diagnostic {
  const name = quoted(mark.name);
  return {
    severity: 'error',
    rule: 'unterminated-heredoc',
    message: `unterminated heredoc: no line after this one consists of ${name} alone`,
    hint:
      nearMiss === undefined
        ? `end the text with a line that holds nothing but ${name}`
        : `line ${nearMiss} has white space around ${name}: remove it (<<- takes leading tabs, but no blanks)`,
    range,
  };
}

/** The rules named by `check=skip=...` comments. */
function skippedRules(comments: readonly string[]): string[] {
  const rules: string[] = [];
  for (const comment of comments) {
    const value = /^check[\t ]*=(.+)$/i.exec(comment)?.[1];
    if (value === undefined) continue;
    const { skip, skipAll } = parseCheck(trim(value), undefined, []);
    rules.push(...skip, ...(skipAll ? ['all'] : []));
  }
  return rules;
}
