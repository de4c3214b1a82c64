// Parser directives, the `# name=value` lines at the very top:
// https://docs.docker.com/reference/dockerfile/#parser-directives
import type { Diagnostic, SourceFile, SourceRange } from '../errors.ts';
import { isSpace, quoted, trim } from './chars.ts';
import type { Directives, Text } from './instructions.ts';
import { didYouMean } from './suggest.ts';

const KNOWN = new Set(['syntax', 'escape', 'check']);

/** `name=value` behind the `#`; the value keeps inner blanks. */
const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$/;

type Check = NonNullable<Directives['check']>;

/** Reads the directives line by line; after the first line that is none, no further one is. */
export class DirectiveReader {
  readonly #file: SourceFile;
  readonly #problems: Diagnostic[];
  readonly #seen = new Set<string>();
  #done = false;
  /** A `#!` line ends the block for `escape`, but `syntax` and `check` may follow it. */
  #afterShebang = false;
  #escape: Directives['escape'] = '\\';
  #syntax: Text | undefined;
  #check: Check | undefined;

  constructor(file: SourceFile, problems: Diagnostic[]) {
    this.#file = file;
    this.#problems = problems;
  }

  get escape(): Directives['escape'] {
    return this.#escape;
  }

  get directives(): Directives {
    return {
      escape: this.#escape,
      ...(this.#syntax === undefined ? {} : { syntax: this.#syntax }),
      ...(this.#check === undefined ? {} : { check: this.#check }),
    };
  }

  /** Takes a physical line without its line end; says whether it was a directive. */
  read(line: string, number: number, offset: number): boolean {
    if (this.#done) return false;
    if (number === 1 && line.startsWith('#!', offset)) {
      this.#afterShebang = true;
      return false;
    }
    let at = offset;
    while (isSpace(line[at])) at++;
    if (line[at] !== '#') return this.#stop();
    at++;
    while (isSpace(line[at])) at++;
    const match = DIRECTIVE.exec(line.slice(at));
    const name = match?.[1]?.toLowerCase() ?? '';
    const value = match?.[2] ?? '';
    if (!KNOWN.has(name)) return this.#stop();
    const column = line.indexOf(value, at + line.slice(at).indexOf('=') + 1);
    this.#take(name, value, {
      file: this.#file,
      start: { line: number, column },
      end: { line: number, column: column + value.length },
    });
    return true;
  }

  #stop(): false {
    this.#done = true;
    return false;
  }

  #take(name: string, value: string, range: SourceRange): void {
    if (this.#seen.has(name)) {
      // The search for directives behind a `#!` line takes the first of each and asks no more.
      if (this.#afterShebang) return;
      this.#problem('duplicate-directive', `the ${name} directive may be given only once`, range);
      return;
    }
    this.#seen.add(name);
    if (name === 'syntax') this.#syntax = { raw: value, range };
    else if (name === 'check') this.#check = parseCheck(value, range, this.#problems);
    else if (this.#afterShebang) return;
    else if (value === '\\' || value === '`') this.#escape = value;
    else {
      const message = `the escape character is either \\ or \`, not ${quoted(value)}`;
      this.#problem('invalid-escape', message, range);
    }
  }

  #problem(rule: string, message: string, range: SourceRange): void {
    this.#problems.push({ severity: 'error', rule, message, range });
  }
}

const CHECK_OPTIONS = ['skip', 'error', 'experimental'];

/**
 * `skip=A,B;error=true;experimental=all`: the value of a check directive, of the build arg BUILDKIT_DOCKERFILE_CHECK
 * or of a comment above an instruction. What is wrong in it is added to `problems`.
 */
export function parseCheck(value: string, range: SourceRange | undefined, problems: Diagnostic[]): Check {
  const found = { skip: [] as string[], skipAll: false, error: false, experimental: [] as string[] };
  for (const option of value.split(';')) {
    const equals = option.indexOf('=');
    const name = trim(equals === -1 ? option : option.slice(0, equals));
    const words = equals === -1 ? [] : option.slice(equals + 1).split(',');
    const list = words.map(trim).filter(word => word !== '');
    const flag = parseBoolean(list[0] ?? '');
    if (equals !== -1 && name === 'skip') {
      if (list.includes('all')) found.skipAll = true;
      found.skip.push(...list.filter(word => word !== 'all'));
    } else if (equals !== -1 && name === 'experimental') found.experimental.push(...list);
    else if (name === 'error' && flag !== undefined) found.error = flag;
    else problems.push(invalidOption(option, name, range));
  }
  return found;
}

function invalidOption(option: string, name: string, range: SourceRange | undefined): Diagnostic {
  return {
    severity: 'error',
    rule: 'invalid-check',
    message: `invalid check option ${quoted(trim(option))}`,
    hint:
      didYouMean(name, CHECK_OPTIONS) ??
      'options are skip=RULE,RULE, skip=all, error=true, experimental=RULE',
    ...(range === undefined ? {} : { range }),
  };
}

/** Go's strconv.ParseBool; undefined for anything else. */
export function parseBoolean(text: string): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return undefined;
}
