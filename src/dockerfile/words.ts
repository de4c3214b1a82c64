// Expansion of variables and removal of quotes, as in the values of ENV, COPY, FROM and so on:
// https://docs.docker.com/reference/dockerfile/#environment-replacement
// `$name`, `${name}` and the forms `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`, which nest. The shell of RUN is
// not meant: that text is never expanded here.
import { isSpace } from './chars.ts';
import type { Directives } from './instructions.ts';
import { findMatches, fromCodePoints, PatternError, trimEnd, trimStart } from './patterns.ts';

/** A word that cannot be expanded; the message is one sentence without the place. */
export class WordError extends Error {
  override readonly name = 'WordError';
}

export type Environment = ReadonlyMap<string, string>;
export type Escape = Directives['escape'];

/** Variables that an expansion asked for, each once, in order of appearance. */
export interface Lookups {
  /** Set ones. */
  readonly used: string[];
  /** Unset ones that became empty text: those with a `-`, `+` or `?` form are not among them. */
  readonly undefined: string[];
  /** All unset ones: what the UndefinedVar check reports. */
  readonly unset: string[];
}

export interface Expansion extends Lookups {
  readonly value: string;
}

/** Longest result of one expansion in UTF-16 units, and the deepest nesting of `${a:-${b:-...}}`. */
export const MAX_EXPANSION = 1024 * 1024;
const MAX_DEPTH = 100;

/** Expands `raw` to one word: variables replaced, quotes and escapes removed. Throws WordError. */
export function expandWord(raw: string, env: Environment, escapeChar: Escape): Expansion {
  const lexer = new Lexer(raw, env, { escape: escapeChar });
  const { value } = lexer.run();
  return { value, ...lexer.lookups };
}

/**
 * Expands `raw` and splits the result at white space outside quotes, also at white space that came out of a
 * variable. Empty words are dropped. Throws WordError.
 */
export function expandWords(
  raw: string,
  env: Environment,
  escapeChar: Escape,
): Lookups & { readonly words: string[] } {
  const lexer = new Lexer(raw, env, { escape: escapeChar });
  const { words } = lexer.run();
  return { words, ...lexer.lookups };
}

/**
 * Expands a heredoc body of COPY or ADD: quotes are ordinary characters, and the escape character is the backslash
 * whatever the escape directive says. Throws WordError.
 */
export function expandHeredoc(body: string, env: Environment): Expansion {
  const lexer = new Lexer(body, env, { escape: '\\', ignoreQuotes: true });
  const { value } = lexer.run();
  return { value, ...lexer.lookups };
}

/**
 * Expands variables in a file pattern: quotes are ordinary characters there, and escapes stay, since they mean something
 * to the pattern. Throws WordError.
 */
export function expandPattern(raw: string, env: Environment): Expansion {
  const lexer = new Lexer(raw, env, { escape: '\\', ignoreQuotes: true, keepEscapes: true });
  const { value } = lexer.run();
  return { value, ...lexer.lookups };
}

/**
 * The words of `raw` as expandWords splits them, with variables left as they are; quotes and escapes too when
 * `verbatim` is set. Throws WordError.
 */
export function splitWords(raw: string, verbatim: boolean, verbatimEscapes = verbatim): string[] {
  const options = {
    escape: '\\',
    keepUnset: true,
    keepQuotes: verbatim,
    keepEscapes: verbatimEscapes,
  } as const;
  return new Lexer(raw, new Map(), options).run().words;
}

interface LexerOptions {
  readonly escape: Escape;
  readonly ignoreQuotes?: boolean;
  readonly keepQuotes?: boolean;
  readonly keepEscapes?: boolean;
  readonly keepUnset?: boolean;
}

interface Output {
  readonly value: string;
  readonly words: string[];
}

/** Collects a result twice: as one text and as words. */
class Collector {
  #value = '';
  #word = '';
  #inWord = false;
  readonly #words: string[] = [];

  /** Text whose white space separates words. */
  addPlain(text: string): void {
    this.#extend(text);
    for (const char of text) {
      if (!isSpace(char)) {
        this.#word += char;
        this.#inWord = true;
      } else if (this.#inWord && this.#word !== '') {
        this.#words.push(this.#word);
        this.#word = '';
        this.#inWord = false;
      }
    }
  }

  /** Text that stays in one word. */
  addQuoted(text: string): void {
    this.#extend(text);
    this.#word += text;
    this.#inWord = true;
  }

  finish(): Output {
    if (this.#word !== '') this.#words.push(this.#word);
    return { value: this.#value, words: this.#words };
  }

  #extend(text: string): void {
    this.#value += text;
    if (this.#value.length > MAX_EXPANSION) {
      throw new WordError('the result of the expansion is longer than 1 MiB');
    }
  }
}

const SPECIAL_PARAMETERS = '@*#?-$!';
/** A name, or digits: `$12` is the variable 12. Sticky. */
const NAME = /\p{Nd}+|[\p{L}_][\p{L}\p{Nd}_]*/uy;
/** Text without any character that could mean something. */
const ORDINARY = /[^$<'"\\`/}]+/y;

class Lexer {
  readonly #used = new Set<string>();
  readonly #missing = new Set<string>();
  readonly #unset = new Set<string>();
  readonly #text: string;
  readonly #env: Environment;
  readonly #options: LexerOptions;
  #at = 0;
  #depth = 0;
  #keepEscapes: boolean;

  constructor(text: string, env: Environment, options: LexerOptions) {
    this.#text = text;
    this.#env = env;
    this.#options = options;
    this.#keepEscapes = options.keepEscapes ?? false;
  }

  get lookups(): Lookups {
    return { used: [...this.#used], undefined: [...this.#missing], unset: [...this.#unset] };
  }

  run(): Output {
    try {
      return this.#readUntil(undefined);
    } catch (error) {
      if (error instanceof PatternError) throw new WordError(error.message);
      throw error;
    }
  }

  /** Reads to `stop`, which is consumed, or without one to the end of the text. */
  #readUntil(stop: '}' | '/' | undefined): Output {
    const out = new Collector();
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) {
        if (stop === '/')
          throw new WordError("missing '/' between pattern and replacement in ${name/pattern/replacement}");
        if (stop === '}') throw new WordError("missing '}' at the end of ${...}");
        return out.finish();
      }
      if (char === stop) {
        this.#at++;
        return out.finish();
      }
      this.#readPiece(char, out);
    }
  }

  #readPiece(char: string, out: Collector): void {
    ORDINARY.lastIndex = this.#at;
    const ordinary = ORDINARY.exec(this.#text)?.[0];
    if (ordinary !== undefined) {
      this.#at += ordinary.length;
      out.addPlain(ordinary);
    } else if (char === '$') out.addPlain(this.#readDollar());
    else if (char === '<') out.addQuoted(this.#readAngle());
    else if (char === "'" && !this.#options.ignoreQuotes) out.addQuoted(this.#readSingleQuoted());
    else if (char === '"' && !this.#options.ignoreQuotes) out.addQuoted(this.#readDoubleQuoted());
    else if (char === this.#options.escape) this.#readEscaped(out);
    else {
      this.#at++;
      out.addPlain(char);
    }
  }

  /** Outside quotes an escape takes any character literally; at the end of the text it vanishes. */
  #readEscaped(out: Collector): void {
    const escapeChar = this.#text[this.#at++] ?? '';
    if (this.#keepEscapes) out.addQuoted(escapeChar);
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) return;
    const char = String.fromCodePoint(point);
    this.#at += char.length;
    out.addQuoted(char);
  }

  /** `<`, or `<<` with the blanks behind it: those belong to the word of a heredoc. */
  #readAngle(): string {
    const start = this.#at++;
    if (this.#text[this.#at] !== '<') return '<';
    this.#at++;
    while (' \t\r'.includes(this.#text[this.#at] ?? '.')) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #readSingleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end === -1) throw new WordError("missing closing single quote (')");
    const start = this.#at;
    this.#at = end + 1;
    return this.#options.keepQuotes ? this.#text.slice(start, end + 1) : this.#text.slice(start + 1, end);
  }

  /** Inside double quotes variables expand, and only `"`, `$` and the escape itself can be escaped. */
  #readDoubleQuoted(): string {
    const { escape: escapeChar, keepQuotes } = this.#options;
    const out = new Collector();
    this.#at++;
    if (keepQuotes) out.addQuoted('"');
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new WordError('missing closing double quote (")');
      if (char === '$') {
        out.addQuoted(this.#readDollar());
        continue;
      }
      this.#at++;
      if (char === '"') {
        if (keepQuotes) out.addQuoted('"');
        return out.finish().value;
      }
      if (char !== escapeChar) {
        out.addQuoted(char);
        continue;
      }
      if (this.#keepEscapes) out.addQuoted(char);
      const next = this.#text[this.#at];
      if (next === undefined) continue;
      if (next === '"' || next === '$' || next === escapeChar) {
        this.#at++;
        out.addQuoted(next);
      } else out.addQuoted(char);
    }
  }

  #readDollar(): string {
    this.#at++;
    if (this.#text[this.#at] !== '{') {
      const name = this.#readName();
      if (name === '') return '$';
      return this.#lookUp(name, true) ?? (this.#options.keepUnset ? `$${name}` : '');
    }
    if (++this.#depth > MAX_DEPTH) throw new WordError(`expansions are nested more than ${MAX_DEPTH} deep`);
    this.#at++;
    const value = this.#readBraced();
    this.#depth--;
    return value;
  }

  #readBraced(): string {
    const first = this.#text[this.#at];
    if (first === undefined) throw new WordError("missing '}' at the end of ${...}");
    if ('{}:'.includes(first)) throw new WordError(`bad substitution: a name must follow \${, not ${first}`);
    const name = this.#readName();
    const operator = this.#text[this.#at++];
    switch (operator) {
      case undefined:
        throw new WordError("missing '}' at the end of ${...}");
      case '}':
        return this.#lookUp(name, true) ?? (this.#options.keepUnset ? `\${${name}}` : '');
      case '/':
        return this.#readReplacement(name);
      case ':':
        return this.#readAlternative(name, `:${this.#text[this.#at++] ?? ''}`);
      case '-':
      case '+':
      case '?':
        return this.#readAlternative(name, operator);
      case '#':
      case '%':
        return this.#readTrimmed(name, operator);
      default:
        throw new WordError(`unsupported modifier (${operator}) in substitution of ${name}`);
    }
  }

  /** `:-` `-` `:+` `+` `:?` `?`; with the colon an empty value counts as unset. */
  #readAlternative(name: string, operator: string): string {
    const kind = operator.at(-1);
    if (operator.length > 1 && kind !== '-' && kind !== '+' && kind !== '?') {
      throw new WordError(`unsupported modifier (${operator}) in substitution of ${name}`);
    }
    const word = this.#readNested('}', false);
    const value = this.#lookUp(name, false);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${operator}${word}}`;
    const isSet = value !== undefined && !(operator.length > 1 && value === '');
    if (kind === '-') return isSet ? value : word;
    if (kind === '+') return isSet ? word : '';
    if (isSet) return value;
    const problem = value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty';
    throw new WordError(`${name}: ${word === '' ? problem : word}`);
  }

  #readTrimmed(name: string, operator: '#' | '%'): string {
    const word = this.#readNested('}', true);
    const value = this.#lookUp(name, true);
    if (value === undefined && this.#options.keepUnset) return `\${${name}${operator}${word}}`;
    const longest = word.startsWith(operator);
    const pattern = longest ? word.slice(1) : word;
    const trim = operator === '#' ? trimStart : trimEnd;
    return trim(value ?? '', pattern, longest);
  }

  #readReplacement(name: string): string {
    const all = this.#text[this.#at] === '/';
    if (all) this.#at++;
    const pattern = this.#readNested('/', true);
    const replacement = this.#readNested('}', true);
    const value = this.#lookUp(name, true);
    if (value === undefined && this.#options.keepUnset) return `\${${name}/${pattern}/${replacement}}`;
    const { text, matches } = findMatches(value ?? '', pattern, all);
    const out = new Collector();
    let at = 0;
    for (const { start, end } of matches) {
      out.addQuoted(fromCodePoints(text.slice(at, start)));
      // Only `//` reads the replacement as a template: that is how the reference implementation does it.
      out.addQuoted(
        all ? fillTemplate(replacement, () => fromCodePoints(text.slice(start, end))) : replacement,
      );
      at = end;
    }
    out.addQuoted(fromCodePoints(text.slice(at)));
    return out.finish().value;
  }

  #readNested(stop: '}' | '/', keepEscapes: boolean): string {
    const outer = this.#keepEscapes;
    this.#keepEscapes = keepEscapes;
    const { value } = this.#readUntil(stop);
    this.#keepEscapes = outer;
    return value;
  }

  #readName(): string {
    const char = this.#text[this.#at];
    if (char !== undefined && SPECIAL_PARAMETERS.includes(char)) {
      this.#at++;
      return char;
    }
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  #lookUp(name: string, needed: boolean): string | undefined {
    const value = this.#env.get(name);
    if (value !== undefined) this.#used.add(name);
    else {
      this.#unset.add(name);
      if (needed) this.#missing.add(name);
    }
    return value;
  }
}

/** Go's regexp.Expand for a pattern without groups: `$0` is the match, any other name is empty, `$$` a dollar. */
function fillTemplate(template: string, match: () => string): string {
  if (!template.includes('$')) return template;
  return template.replace(
    /\$(?:(\$)|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu,
    (_all, dollar, name, braced) => {
      if (dollar !== undefined) return '$';
      return (name ?? braced) === '0' ? match() : '';
    },
  );
}
