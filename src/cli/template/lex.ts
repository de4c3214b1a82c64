// Go templates, first half: text to tokens (https://pkg.go.dev/text/template). Trim markers and comments end here.
import { BuildError, printable } from '../../errors.ts';

export type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open' | 'close' | 'pipe' | 'left' | 'right' | 'comma' | 'declare' | 'assign' | 'space' }
  | { readonly kind: 'word'; readonly text: string }
  /** `.A.B` directly after what stands before it, or alone; without the first dot. */
  | { readonly kind: 'field'; readonly text: string }
  | { readonly kind: 'dot' }
  /** With the `$`. */
  | { readonly kind: 'variable'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number };

/** @throws BuildError `usage` for what is no template */
export function tokenize(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < template.length) {
    const open = template.indexOf('{{', at);
    let text = template.slice(at, open < 0 ? undefined : open);
    if (trimNext) text = text.trimStart();
    const trimHere = open >= 0 && /^\{\{-\s/.test(template.slice(open, open + 4));
    if (trimHere) text = text.trimEnd();
    if (text !== '') tokens.push({ kind: 'text', text });
    if (open < 0) break;
    const start = open + (trimHere ? 3 : 2);
    const action = new Action(template, start);
    const comment = /^\s*\/\*/.exec(template.slice(start, start + 200));
    if (comment) action.skipComment();
    else tokens.push({ kind: 'open' }, ...action.tokens(), { kind: 'close' });
    trimNext = action.trims;
    at = action.at;
  }
  return tokens;
}

export function templateError(template: string, why: string): BuildError {
  return new BuildError('usage', `the format "${printable(template)}" is no Go template: ${why}`, {
    hint: 'https://docs.docker.com/engine/cli/formatting/ shows how to write one',
  });
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
};

const symbols = [
  [':=', 'declare'],
  ['=', 'assign'],
  ['|', 'pipe'],
  ['(', 'left'],
  [')', 'right'],
  [',', 'comma'],
] as const;

/** Between `{{` and `}}`. */
class Action {
  at: number;
  trims = false;
  readonly #template: string;

  constructor(template: string, at: number) {
    this.#template = template;
    this.at = at;
  }

  skipComment(): void {
    const end = this.#template.indexOf('*/', this.at);
    const close = end < 0 ? null : /^\*\/(\s+-)?\}\}/.exec(this.#template.slice(end));
    if (!close) throw this.#fail('a comment does not end');
    this.trims = close[1] !== undefined;
    this.at = end + close[0].length;
  }

  *tokens(): Iterable<Token> {
    for (;;) {
      const rest = this.#template.slice(this.at);
      const close = /^\s*\}\}/.exec(rest) ?? /^\s+-\}\}/.exec(rest);
      if (close) {
        this.trims = close[0].includes('-');
        this.at += close[0].length;
        return;
      }
      if (rest === '') throw this.#fail('an action does not end with }}');
      yield this.#token(rest);
    }
  }

  #token(rest: string): Token {
    const space = /^\s+/.exec(rest);
    if (space) return this.#take(space[0].length, { kind: 'space' });
    const symbol = symbols.find(([text]) => rest.startsWith(text));
    if (symbol) return this.#take(symbol[0].length, { kind: symbol[1] });
    const named = /^(\.|\$)?([\p{L}_][\p{L}\p{N}_]*)?/u.exec(rest);
    const [all = '', sign, name] = named ?? [];
    if (sign === '$') return this.#take(all.length, { kind: 'variable', text: all });
    if (sign === '.' && name !== undefined) return this.#take(all.length, { kind: 'field', text: name });
    const number = /^[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)/.exec(rest);
    if (number) return this.#take(number[0].length, { kind: 'number', value: Number(number[0]) });
    if (sign === '.') return this.#take(1, { kind: 'dot' });
    if (name !== undefined) return this.#take(all.length, { kind: 'word', text: all });
    if (rest[0] === '"') return this.#quoted(rest);
    if (rest[0] === '`') return this.#raw(rest);
    throw this.#fail(`unexpected "${printable([...rest][0] ?? '')}"`);
  }

  #take(length: number, token: Token): Token {
    this.at += length;
    return token;
  }

  #raw(rest: string): Token {
    const end = rest.indexOf('`', 1);
    if (end < 0) throw this.#fail('a text in ` does not end');
    return this.#take(end + 1, { kind: 'string', value: rest.slice(1, end) });
  }

  #quoted(rest: string): Token {
    let value = '';
    for (let i = 1; i < rest.length; i++) {
      const c = rest[i] ?? '';
      if (c === '"') return this.#take(i + 1, { kind: 'string', value });
      if (c === '\n') break;
      if (c !== '\\') {
        value += c;
        continue;
      }
      const code = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(rest.slice(i, i + 6));
      const plain = escapes[rest[i + 1] ?? ''];
      if (code) value += String.fromCharCode(Number.parseInt(code[1] ?? code[2] ?? '', 16));
      else if (plain !== undefined) value += plain;
      else throw this.#fail(`unknown escape \\${printable(rest[i + 1] ?? '')} in a text`);
      i += (code?.[0].length ?? 2) - 1;
    }
    throw this.#fail('a text in " does not end');
  }

  #fail(why: string): BuildError {
    return templateError(this.#template, why);
  }
}
