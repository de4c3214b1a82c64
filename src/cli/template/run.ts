// Go templates: a tree and a value to text. What docker users write in --format; errors name the part that is wrong.
import { BuildError, messageOf, printable } from '../../errors.ts';
import { functions } from './functions.ts';
import { type Node, type Operand, type Pipe, parseTemplate } from './parse.ts';
import { isStruct, isTrue, show, type Value } from './value.ts';

export type { Value } from './value.ts';

/** @throws BuildError `usage` when the text is no template */
export function compileTemplate(template: string): (value: Value) => string {
  const nodes = parseTemplate(template);
  checkFunctions(nodes, template);
  return value => new Run(template, value).all(nodes);
}

/** Output above this many characters is refused: a range can nest in a range. */
const maxOutput = 64 * 1024 * 1024;

type Flow = 'break' | 'continue' | undefined;

class Run {
  readonly #template: string;
  readonly #root: Value;
  #variables: Map<string, { value: Value }>;
  #parts: string[] = [];
  #length = 0;

  constructor(template: string, root: Value) {
    this.#template = template;
    this.#root = root;
    this.#variables = new Map([['$', { value: root }]]);
  }

  all(nodes: readonly Node[]): string {
    this.#list(nodes, this.#root);
    return this.#parts.join('');
  }

  #list(nodes: readonly Node[], dot: Value): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow) return flow;
    }
    return undefined;
  }

  #node(node: Node, dot: Value): Flow {
    switch (node.kind) {
      case 'text':
        this.#write(node.text);
        return undefined;
      case 'print': {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.variables.length === 0) this.#write(show(value));
        return undefined;
      }
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipe(node.pipe, dot);
          if (isTrue(value)) return this.#list(node.body, node.kind === 'with' ? value : dot);
          return this.#list(node.otherwise, dot);
        });
      case 'range':
        return this.#range(node, dot);
      default:
        return node.kind;
    }
  }

  #range(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: Value): Flow {
    return this.#scoped(() => {
      const items = entriesOf(this.#pipe({ ...node.pipe, variables: [] }, dot));
      if (items === undefined) throw this.#fail('range needs a list or a map');
      if (items.length === 0) return this.#list(node.otherwise, dot);
      for (const [key, value] of items) {
        const names = node.pipe.variables;
        const flow = this.#scoped(() => {
          const last = names.at(-1);
          if (last !== undefined) this.#variables.set(last, { value });
          if (names.length === 2 && names[0] !== undefined) this.#variables.set(names[0], { value: key });
          return this.#list(node.body, value);
        });
        if (flow === 'break') break;
      }
      return undefined;
    });
  }

  #scoped<T>(work: () => T): T {
    const outer = this.#variables;
    this.#variables = new Map(outer);
    try {
      return work();
    } finally {
      this.#variables = outer;
    }
  }

  #pipe(pipe: Pipe, dot: Value): Value {
    let value: Value;
    pipe.commands.forEach((command, i) => {
      value = this.#command(command, dot, i === 0 ? [] : [value]);
    });
    const [name] = pipe.variables;
    if (name !== undefined) {
      const known = this.#variables.get(name);
      if (!pipe.assigns) this.#variables.set(name, { value });
      else if (known) known.value = value;
      else throw this.#fail(`there is no variable ${name}`);
    }
    return value;
  }

  /** @param piped what came through the pipe, as last argument */
  #command([first, ...rest]: readonly Operand[], dot: Value, piped: readonly Value[]): Value {
    if (first?.kind !== 'function') {
      if (!first || rest.length > 0 || piped.length > 0)
        throw this.#fail('a value is called as if it were a function');
      return this.#operand(first, dot);
    }
    if (first.name === 'and' || first.name === 'or') return this.#logic(first.name, rest, dot, piped);
    const args = [...rest.map(operand => this.#operand(operand, dot)), ...piped];
    return this.#call(first.name, args);
  }

  #call(name: string, args: readonly Value[]): Value {
    try {
      return functions[name]?.(...args);
    } catch (error) {
      throw this.#fail(`${name}: ${messageOf(error)}`);
    }
  }

  /** The first value that decides; the others are not looked at. */
  #logic(name: 'and' | 'or', rest: readonly Operand[], dot: Value, piped: readonly Value[]): Value {
    let value: Value = piped[0];
    for (const operand of rest) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: Value): Value {
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return undefined;
      case 'literal':
        return operand.value;
      case 'variable': {
        const known = this.#variables.get(operand.name);
        if (!known) throw this.#fail(`there is no variable ${operand.name}`);
        return known.value;
      }
      case 'pipe':
        return this.#scoped(() => this.#pipe(operand.pipe, dot));
      case 'function':
        return this.#command([operand], dot, []);
      case 'fields':
        return operand.names.reduce<Value>(
          (value, name) => this.#field(value, name),
          this.#operand(operand.of, dot),
        );
    }
  }

  #field(value: Value, name: string): Value {
    if (value instanceof Map) return value.get(name);
    if (isStruct(value) && Object.hasOwn(value, name)) return value[name];
    if (value === null || value === undefined) return undefined;
    const known = isStruct(value) ? Object.keys(value) : [];
    throw this.#fail(
      `there is no field ".${printable(name)}"`,
      known.length > 0 ? `fields are ${known.map(key => `.${key}`).join(' ')}` : undefined,
    );
  }

  #write(text: string): void {
    this.#length += text.length;
    if (this.#length > maxOutput) throw this.#fail('it makes too much text');
    this.#parts.push(text);
  }

  #fail(why: string, hint?: string): BuildError {
    return new BuildError(
      'usage',
      `the format "${printable(this.#template)}" cannot be filled in: ${why}`,
      hint ? { hint } : {},
    );
  }
}

function entriesOf(value: Value): (readonly [Value, Value])[] | undefined {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, i) => [i, item] as const);
  if (value instanceof Map) return [...value].sort(([a], [b]) => (a < b ? -1 : 1));
  return undefined;
}

function checkFunctions(nodes: readonly Node[], template: string): void {
  const known = new Set([...Object.keys(functions), 'and', 'or']);
  const operand = (one: Operand): void => {
    if (one.kind === 'function' && !known.has(one.name)) {
      throw new BuildError(
        'usage',
        `the format "${printable(template)}" calls an unknown function "${one.name}"`,
        {
          hint: `functions are ${[...known].sort().join(', ')}`,
        },
      );
    }
    if (one.kind === 'pipe') pipe(one.pipe);
    if (one.kind === 'fields') operand(one.of);
  };
  const pipe = (one: Pipe): void => one.commands.flat().forEach(operand);
  for (const node of nodes) {
    if (!('pipe' in node)) continue;
    pipe(node.pipe);
    if ('body' in node) checkFunctions([...node.body, ...node.otherwise], template);
  }
}
