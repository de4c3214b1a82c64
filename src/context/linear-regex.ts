// Regular expressions in time linear in the text (a set of states walks over it, nothing is ever tried twice), for
// the patterns of ignore files: Docker turns those into Go regular expressions (RE2 syntax, https://golang.org/s/re2syntax)
// and quirks of that translation are part of what users' files rely on. Read here is what the translation can produce.

type Test = (rune: number) => boolean;

type Node =
  | { readonly kind: 'rune'; readonly test: Test }
  | { readonly kind: 'start' | 'end' | 'empty' }
  | { readonly kind: 'boundary'; readonly inverse: boolean }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number };

type Instruction =
  | { readonly op: 'rune'; readonly test: Test }
  | { readonly op: 'split'; a: number; b: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'assert'; readonly what: 'start' | 'end' | 'boundary' | 'no-boundary' }
  | { readonly op: 'match' };

/** Thrown for an expression that RE2 would refuse. */
export class BadExpression extends Error {}

export interface LinearRegex {
  /** Whether the expression matches somewhere in the text, given as code points. */
  test(text: readonly number[]): boolean;
}

const maxRepeat = 1000;
const isWord: Test = r => (r >= 48 && r <= 57) || (r >= 65 && r <= 90) || (r >= 97 && r <= 122) || r === 95;
const isDigit: Test = r => r >= 48 && r <= 57;
const isSpace: Test = r => r === 9 || r === 10 || r === 12 || r === 13 || r === 32;
const perl: Readonly<Record<string, Test>> = {
  d: isDigit,
  D: r => !isDigit(r),
  s: isSpace,
  S: r => !isSpace(r),
  w: isWord,
  W: r => !isWord(r),
};
const inRange =
  (low: number, high: number): Test =>
  r =>
    r >= low && r <= high;
const posix: Readonly<Record<string, Test>> = {
  alnum: r => isWord(r) && r !== 95,
  alpha: r => isWord(r) && r !== 95 && !isDigit(r),
  ascii: inRange(0, 0x7f),
  blank: r => r === 9 || r === 32,
  cntrl: r => r < 0x20 || r === 0x7f,
  digit: isDigit,
  graph: inRange(0x21, 0x7e),
  lower: inRange(97, 122),
  print: inRange(0x20, 0x7e),
  punct: r => r > 0x20 && r < 0x7f && (!isWord(r) || r === 95),
  space: r => isSpace(r) || r === 11,
  upper: inRange(65, 90),
  word: isWord,
  xdigit: r => isDigit(r) || (r >= 65 && r <= 70) || (r >= 97 && r <= 102),
};
const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** @throws BadExpression */
export function compileRegex(source: string): LinearRegex {
  const program = assemble(new Parser(source).parse());
  return { test: text => run(program, text) };
}

class Parser {
  readonly #text: readonly string[];
  #at = 0;

  constructor(source: string) {
    this.#text = [...source];
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw new BadExpression('unexpected )');
    return node;
  }

  #peek(offset = 0): string | undefined {
    return this.#text[this.#at + offset];
  }

  #choice(): Node {
    const parts = [this.#sequence()];
    while (this.#peek() === '|') {
      this.#at++;
      parts.push(this.#sequence());
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: 'choice', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    let repeated = false;
    for (let c = this.#peek(); c !== undefined && c !== '|' && c !== ')'; c = this.#peek()) {
      const repeat = this.#repeat();
      if (repeat === undefined) {
        parts.push(...this.#atom(c));
        repeated = false;
        continue;
      }
      const part = parts.pop();
      if (part === undefined || repeated) throw new BadExpression('nothing to repeat');
      parts.push({ kind: 'repeat', part, ...repeat });
      repeated = true;
    }
    return { kind: 'sequence', parts };
  }

  #repeat(): { min: number; max: number } | undefined {
    const c = this.#peek();
    if (c === '*' || c === '?' || c === '+') {
      this.#at++;
      return { min: c === '+' ? 1 : 0, max: c === '?' ? 1 : Number.POSITIVE_INFINITY };
    }
    if (c !== '{') return undefined;
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.#text.slice(this.#at, this.#at + 24).join(''));
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (min > maxRepeat || (Number.isFinite(max) && (max > maxRepeat || max < min))) {
      throw new BadExpression('invalid repeat count');
    }
    return { min, max };
  }

  #atom(c: string): Node[] {
    this.#at++;
    switch (c) {
      case '^':
        return [{ kind: 'start' }];
      case '$':
        return [{ kind: 'end' }];
      case '.':
        return [{ kind: 'rune', test: r => r !== 10 }];
      case '(': {
        const inner = this.#choice();
        if (this.#peek() !== ')') throw new BadExpression('missing )');
        this.#at++;
        return [inner];
      }
      case '[':
        return [{ kind: 'rune', test: this.#class() }];
      case '\\':
        return this.#escape();
      default:
        return [literal(c.codePointAt(0) ?? 0)];
    }
  }

  #escape(): Node[] {
    const c = this.#peek();
    if (c === 'A') return this.#skip({ kind: 'start' });
    if (c === 'z') return this.#skip({ kind: 'end' });
    if (c === 'b' || c === 'B') return this.#skip({ kind: 'boundary', inverse: c === 'B' });
    if (c === 'Q') {
      this.#at++;
      const rest = this.#text.slice(this.#at);
      const end = rest.findIndex((r, i) => r === '\\' && rest[i + 1] === 'E');
      const quoted = end < 0 ? rest : rest.slice(0, end);
      this.#at += quoted.length + (end < 0 ? 0 : 2);
      return quoted.map(q => literal(q.codePointAt(0) ?? 0));
    }
    const set = this.#escapedSet();
    return [set === undefined ? literal(this.#escapedRune()) : { kind: 'rune', test: set }];
  }

  #skip(node: Node): Node[] {
    this.#at++;
    return [node];
  }

  /** `\d`, `\pL` and the like; the backslash has been read. */
  #escapedSet(): Test | undefined {
    const c = this.#peek() ?? '';
    const set = Object.hasOwn(perl, c) ? perl[c] : undefined;
    if (set !== undefined) {
      this.#at++;
      return set;
    }
    if (c !== 'p' && c !== 'P') return undefined;
    const found = /^[pP](\{\^?(\w+)\}|\w)/.exec(this.#text.slice(this.#at, this.#at + 48).join(''));
    const name = found?.[2] ?? found?.[1];
    if (found === null || name === undefined) throw new BadExpression('invalid character class range');
    this.#at += found[0].length;
    return unicodeSet(name, (c === 'P') !== (found[1]?.startsWith('{^') ?? false));
  }

  /** One character after a backslash. */
  #escapedRune(): number {
    const c = this.#peek();
    if (c === undefined) throw new BadExpression('trailing backslash');
    this.#at++;
    const code = c.codePointAt(0) ?? 0;
    const control = Object.hasOwn(controls, c) ? controls[c] : undefined;
    if (control !== undefined) return control;
    if (c >= '0' && c <= '7') return this.#octal(c);
    if (c === 'x') return this.#hex();
    if (code < 0x80 && (!isWord(code) || c === '_')) return code;
    throw new BadExpression('invalid escape sequence');
  }

  #octal(first: string): number {
    const isOctal = (c: string | undefined): c is string => c !== undefined && c >= '0' && c <= '7';
    if (first !== '0' && !isOctal(this.#peek())) throw new BadExpression('invalid escape sequence');
    let digits = first;
    for (let c = this.#peek(); digits.length < 3 && isOctal(c); c = this.#peek()) {
      digits += c;
      this.#at++;
    }
    return Number.parseInt(digits, 8);
  }

  #hex(): number {
    const found = /^(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{2}))/.exec(
      this.#text.slice(this.#at, this.#at + 12).join(''),
    );
    const code = Number.parseInt(found?.[1] ?? found?.[2] ?? '', 16);
    if (found === null || !(code <= 0x10ffff)) throw new BadExpression('invalid escape sequence');
    this.#at += found[0].length;
    return code;
  }

  /** A class; its `[` has been read. */
  #class(): Test {
    const negated = this.#peek() === '^';
    if (negated) this.#at++;
    const tests: Test[] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.#peek() === undefined) throw new BadExpression('missing ]');
      if (this.#peek() === '-' && !first && this.#peek(1) !== ']') {
        throw new BadExpression('invalid character class range');
      }
      tests.push(this.#classItem());
    }
    this.#at++;
    return rune => tests.some(test => test(rune)) !== negated;
  }

  #classItem(): Test {
    const named = /^\[:(\^?)(\w+):\]/.exec(this.#text.slice(this.#at, this.#at + 16).join(''));
    if (named !== null) {
      const set = Object.hasOwn(posix, named[2] ?? '') ? posix[named[2] ?? ''] : undefined;
      if (set === undefined) throw new BadExpression('invalid character class range');
      this.#at += named[0].length;
      return named[1] === '^' ? r => !set(r) : set;
    }
    if (this.#peek() === '\\') {
      this.#at++;
      const set = this.#escapedSet();
      if (set !== undefined) return set;
      this.#at--;
    }
    const low = this.#classRune();
    if (this.#peek() !== '-' || this.#peek(1) === ']' || this.#peek(1) === undefined)
      return inRange(low, low);
    this.#at++;
    const high = this.#classRune();
    if (high < low) throw new BadExpression('invalid character class range');
    return inRange(low, high);
  }

  #classRune(): number {
    const c = this.#peek();
    if (c === undefined) throw new BadExpression('missing ]');
    this.#at++;
    return c === '\\' ? this.#escapedRune() : (c.codePointAt(0) ?? 0);
  }
}

function literal(rune: number): Node {
  return { kind: 'rune', test: r => r === rune };
}

/** A Unicode category or script. The expression tests one character, so nothing can run away. */
function unicodeSet(name: string, inverse: boolean): Test {
  for (const property of [name, `Script=${name}`]) {
    try {
      const one = new RegExp(`^\\p{${property}}$`, 'u');
      return r => one.test(String.fromCodePoint(r)) !== inverse;
    } catch {
      // Not a name of this kind.
    }
  }
  throw new BadExpression('invalid character class range');
}

function assemble(root: Node): readonly Instruction[] {
  const code: Instruction[] = [];
  emit(root, code);
  code.push({ op: 'match' });
  return code;
}

function emit(node: Node, code: Instruction[]): void {
  switch (node.kind) {
    case 'rune':
      code.push({ op: 'rune', test: node.test });
      break;
    case 'start':
    case 'end':
      code.push({ op: 'assert', what: node.kind });
      break;
    case 'boundary':
      code.push({ op: 'assert', what: node.inverse ? 'no-boundary' : 'boundary' });
      break;
    case 'empty':
      break;
    case 'sequence':
      for (const part of node.parts) emit(part, code);
      break;
    case 'choice':
      emitChoice(node.parts, code);
      break;
    case 'repeat':
      emitRepeat(node, code);
      break;
  }
}

function emitChoice(parts: readonly Node[], code: Instruction[]): void {
  const jumps: { op: 'jump'; to: number }[] = [];
  parts.forEach((part, i) => {
    if (i === parts.length - 1) {
      emit(part, code);
      return;
    }
    const split = { op: 'split' as const, a: code.length + 1, b: 0 };
    code.push(split);
    emit(part, code);
    const jump = { op: 'jump' as const, to: 0 };
    code.push(jump);
    jumps.push(jump);
    split.b = code.length;
  });
  for (const jump of jumps) jump.to = code.length;
}

function emitRepeat(node: Node & { kind: 'repeat' }, code: Instruction[]): void {
  for (let i = 0; i < node.min; i++) emit(node.part, code);
  if (node.max === Number.POSITIVE_INFINITY) {
    const split = { op: 'split' as const, a: code.length + 1, b: 0 };
    const start = code.push(split) - 1;
    emit(node.part, code);
    code.push({ op: 'jump', to: start });
    split.b = code.length;
    return;
  }
  const splits: { op: 'split'; a: number; b: number }[] = [];
  for (let i = node.min; i < node.max; i++) {
    const split = { op: 'split' as const, a: code.length + 1, b: 0 };
    code.push(split);
    splits.push(split);
    emit(node.part, code);
  }
  for (const split of splits) split.b = code.length;
}

/** Walks all states at once; a state enters the list at most once for each character. */
function run(code: readonly Instruction[], text: readonly number[]): boolean {
  const seen = new Int32Array(code.length).fill(-1);
  let states: number[] = [];
  let matched = false;
  const add = (first: number, at: number, into: number[]): void => {
    const pending = [first];
    for (let pc = pending.pop(); pc !== undefined; pc = pending.pop()) {
      if (seen[pc] === at) continue;
      seen[pc] = at;
      const step = code[pc];
      if (step === undefined) continue;
      if (step.op === 'match') matched = true;
      else if (step.op === 'rune') into.push(pc);
      else if (step.op === 'jump') pending.push(step.to);
      else if (step.op === 'split') pending.push(step.b, step.a);
      else if (holds(step.what, text, at)) pending.push(pc + 1);
    }
  };
  for (let at = 0; at <= text.length; at++) {
    const next: number[] = [];
    if (at > 0) {
      const rune = text[at - 1] ?? 0;
      for (const pc of states) {
        const step = code[pc];
        if (step?.op === 'rune' && step.test(rune)) add(pc + 1, at, next);
      }
    }
    add(0, at, next);
    if (matched) return true;
    states = next;
  }
  return false;
}

function holds(
  what: 'start' | 'end' | 'boundary' | 'no-boundary',
  text: readonly number[],
  at: number,
): boolean {
  if (what === 'start') return at === 0;
  if (what === 'end') return at === text.length;
  const word = (i: number) => isWord(text[i] ?? -1);
  return (word(at - 1) !== word(at)) === (what === 'boundary');
}
