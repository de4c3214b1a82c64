// Go templates, second half: tokens to a tree. `define`, `template` and `block` are not known here; nothing in a
// format of one line needs them.
import type { BuildError } from '../../errors.ts';
import { type Token, templateError, tokenize } from './lex.ts';

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipe: Pipe;
      readonly body: Node[];
      readonly otherwise: Node[];
    }
  | { readonly kind: 'break' | 'continue' };

export interface Pipe {
  /** `$x := ...`, or `$i, $x := ...` in a range. */
  readonly variables: readonly string[];
  /** They exist already: `$x = ...`. */
  readonly assigns: boolean;
  /** The value of each is the last argument of the next. */
  readonly commands: readonly (readonly Operand[])[];
}

export type Operand =
  | { readonly kind: 'dot' | 'nil' }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }
  | { readonly kind: 'fields'; readonly of: Operand; readonly names: readonly string[] };

/** @throws BuildError `usage` */
export function parseTemplate(template: string): Node[] {
  const parser = new Parser(template);
  return parser.whole();
}

type Stop = 'end' | 'else' | undefined;

const maxDepth = 100;

class Parser {
  readonly #template: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #loops = 0;

  constructor(template: string) {
    this.#template = template;
    this.#tokens = tokenize(template);
  }

  whole(): Node[] {
    const { nodes, stop } = this.#list();
    if (stop) throw this.#fail(`{{${stop}}} without an action that it belongs to`);
    return nodes;
  }

  /** Up to `{{end}}`, `{{else ...}}` (its word is taken) or the end of the text. */
  #list(): { nodes: Node[]; stop: Stop } {
    if (++this.#depth > maxDepth) throw this.#fail('it is nested too deeply');
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#next();
      if (!token) {
        this.#depth--;
        return { nodes, stop: undefined };
      }
      if (token.kind === 'text') {
        nodes.push(token);
        continue;
      }
      this.#skipSpace();
      const word = this.#peek();
      const name = word?.kind === 'word' ? word.text : undefined;
      if (name === 'end' || name === 'else') {
        this.#at++;
        if (name === 'end') this.#close();
        this.#depth--;
        return { nodes, stop: name };
      }
      nodes.push(this.#action(name));
    }
  }

  #action(name: string | undefined): Node {
    switch (name) {
      case 'if':
      case 'with':
      case 'range':
        this.#at++;
        return this.#branch(name);
      case 'break':
      case 'continue':
        this.#at++;
        this.#close();
        if (this.#loops === 0) throw this.#fail(`{{${name}}} outside of a range`);
        return { kind: name };
      case 'define':
      case 'template':
      case 'block':
        throw this.#fail(`{{${name}}} is not supported here`);
      default: {
        const pipe = this.#pipe('print');
        this.#close();
        return { kind: 'print', pipe };
      }
    }
  }

  #branch(kind: 'if' | 'with' | 'range'): Node {
    const pipe = this.#pipe(kind);
    this.#close();
    if (kind === 'range') this.#loops++;
    const { nodes: body, stop } = this.#list();
    if (kind === 'range') this.#loops--;
    if (stop === 'end') return { kind, pipe, body, otherwise: [] };
    if (!stop) throw this.#fail(`{{${kind}}} has no {{end}}`);
    this.#skipSpace();
    const word = this.#peek();
    if (word?.kind === 'word' && word.text === kind && kind !== 'range') {
      this.#at++;
      return { kind, pipe, body, otherwise: [this.#branch(kind)] };
    }
    this.#close();
    const { nodes: otherwise, stop: last } = this.#list();
    if (last !== 'end') throw this.#fail(`{{${kind}}} has no {{end}}`);
    return { kind, pipe, body, otherwise };
  }

  #pipe(where: string): Pipe {
    if (++this.#depth > maxDepth) throw this.#fail('it is nested too deeply');
    const { variables, assigns } = this.#variables(where);
    const commands: Operand[][] = [];
    do {
      commands.push(this.#command());
      this.#skipSpace();
    } while (this.#accept('pipe'));
    this.#depth--;
    return { variables, assigns, commands };
  }

  #variables(where: string): Pick<Pipe, 'variables' | 'assigns'> {
    const start = this.#at;
    const variables: string[] = [];
    do {
      this.#skipSpace();
      const token = this.#peek();
      if (token?.kind !== 'variable') break;
      variables.push(token.text);
      this.#at++;
      this.#skipSpace();
    } while (this.#accept('comma'));
    const sign = this.#peek()?.kind;
    const fits = variables.length === 1 || (variables.length === 2 && where === 'range');
    if (fits && (sign === 'declare' || sign === 'assign')) {
      this.#at++;
      return { variables, assigns: sign === 'assign' };
    }
    this.#at = start;
    return { variables: [], assigns: false };
  }

  #command(): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      this.#skipSpace();
      const operand = this.#operand();
      if (!operand) break;
      operands.push(operand);
    }
    if (operands.length === 0) throw this.#fail('a value is missing');
    return operands;
  }

  #operand(): Operand | undefined {
    const first = this.#term();
    if (!first) return undefined;
    const names: string[] = [];
    for (let token = this.#peek(); token?.kind === 'field'; token = this.#peek()) {
      names.push(token.text);
      this.#at++;
    }
    if (names.length === 0) return first;
    if (first.kind === 'fields') return { ...first, names: [...first.names, ...names] };
    return { kind: 'fields', of: first, names };
  }

  #term(): Operand | undefined {
    const token = this.#peek();
    switch (token?.kind) {
      case 'dot':
        this.#at++;
        return { kind: 'dot' };
      case 'field':
        this.#at++;
        return { kind: 'fields', of: { kind: 'dot' }, names: [token.text] };
      case 'variable':
        this.#at++;
        return { kind: 'variable', name: token.text };
      case 'string':
      case 'number':
        this.#at++;
        return { kind: 'literal', value: token.value };
      case 'word':
        this.#at++;
        return wordOperand(token.text);
      case 'left': {
        this.#at++;
        const pipe = this.#pipe('parentheses');
        if (!this.#accept('right')) throw this.#fail('a parenthesis does not end');
        return { kind: 'pipe', pipe };
      }
      default:
        return undefined;
    }
  }

  #close(): void {
    this.#skipSpace();
    if (!this.#accept('close')) throw this.#fail('there is something before }} that does not belong there');
  }

  #accept(kind: Token['kind']): boolean {
    if (this.#peek()?.kind !== kind) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    while (this.#peek()?.kind === 'space') this.#at++;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  #fail(why: string): BuildError {
    return templateError(this.#template, why);
  }
}

function wordOperand(text: string): Operand {
  if (text === 'true' || text === 'false') return { kind: 'literal', value: text === 'true' };
  return text === 'nil' ? { kind: 'nil' } : { kind: 'function', name: text };
}
