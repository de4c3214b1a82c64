// The functions of templates: Go's own (https://pkg.go.dev/text/template#hdr-Functions) and docker's
// (https://docs.docker.com/engine/cli/formatting/). `and`, `or` and `call` are not here: see run.ts.
import { isStruct, isTrue, show, toJson, type Value } from './value.ts';

/** @throws Error with what is wrong with the arguments */
export type TemplateFunction = (...args: readonly Value[]) => Value;

function text(value: Value): string {
  if (typeof value === 'string') return value;
  throw new Error(`expected a text, not ${show(value)}`);
}

function whole(value: Value): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new Error(`expected a whole number, not ${show(value)}`);
}

function list(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (value === null || value === undefined) return [];
  throw new Error(`expected a list, not ${show(value)}`);
}

function length(value: Value): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value === null) return 0;
  throw new Error(`${show(value)} has no length`);
}

function index(value: Value, ...keys: readonly Value[]): Value {
  let found = value;
  for (const key of keys) {
    // A map's element that is not there is its type's zero, and these maps hold texts.
    if (found instanceof Map) found = found.has(text(key)) ? found.get(text(key)) : '';
    else if (Array.isArray(found)) {
      const i = whole(key);
      if (i < 0 || i >= found.length) throw new Error(`there is no item ${i} in a list of ${found.length}`);
      found = found[i];
    } else if (isStruct(found) && typeof key === 'string' && Object.hasOwn(found, key)) found = found[key];
    else if (found === null) found = undefined;
    else throw new Error(`${show(found)} has no items`);
  }
  return found;
}

function slice(value: Value, from: Value = 0, to?: Value): Value {
  const isText = typeof value === 'string';
  const all = isText ? Buffer.from(value) : list(value);
  const start = whole(from);
  const end = to === undefined ? all.length : whole(to);
  if (start < 0 || end > all.length || start > end) throw new Error(`there is no part ${start} to ${end}`);
  return isText ? Buffer.from(value).subarray(start, end).toString() : list(value).slice(start, end);
}

function equal(first: Value, ...others: readonly Value[]): boolean {
  if (others.length === 0) throw new Error('eq needs two values');
  return others.some(other => same(first, other));
}

function same(a: Value, b: Value): boolean {
  if ((a ?? null) === null || (b ?? null) === null) return (a ?? null) === (b ?? null);
  if (typeof a !== typeof b || typeof a === 'object') throw new Error('these values cannot be compared');
  return a === b;
}

function less(a: Value, b: Value): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw new Error('these values cannot be compared');
}

/** Go puts a space between two values unless one of them is a text. */
function print(...args: readonly Value[]): string {
  return args
    .map((arg, i) => {
      const before = args[i - 1];
      const spaced = i > 0 && typeof arg !== 'string' && typeof before !== 'string';
      return `${spaced ? ' ' : ''}${show(arg)}`;
    })
    .join('');
}

function printf(format: Value, ...args: readonly Value[]): string {
  let next = 0;
  const out = text(format).replace(
    /%(?:%|([-+0 ]*)(\d+)?(?:\.(\d+))?([a-zA-Z]))/g,
    (all, flags: string | undefined, width, precision, verb: string | undefined) => {
      if (verb === undefined) return '%';
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const shown = showVerb(
        verb,
        args[next++],
        precision === undefined ? undefined : Number(precision),
        all,
      );
      const padding = Number(width ?? 0);
      if (flags?.includes('-')) return shown.padEnd(padding);
      return shown.padStart(padding, flags?.includes('0') && verb !== 's' ? '0' : ' ');
    },
  );
  return out;
}

function showVerb(verb: string, value: Value, precision: number | undefined, all: string): string {
  switch (verb) {
    case 's':
    case 'v':
      return precision === undefined ? show(value) : [...show(value)].slice(0, precision).join('');
    case 'q':
      return JSON.stringify(show(value));
    case 'd':
      return String(whole(value));
    case 'x':
      return typeof value === 'string' ? Buffer.from(value).toString('hex') : whole(value).toString(16);
    case 't':
      if (typeof value !== 'boolean') throw new Error(`expected true or false, not ${show(value)}`);
      return String(value);
    case 'f':
      return Number(value).toFixed(precision ?? 6);
    default:
      throw new Error(`${all} is not supported in printf`);
  }
}

function pad(value: Value, before: Value, after: Value): string {
  const shown = text(value);
  return shown === '' ? shown : `${' '.repeat(whole(before))}${shown}${' '.repeat(whole(after))}`;
}

const escapedInHtml: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

export const functions: Readonly<Record<string, TemplateFunction>> = {
  eq: equal,
  ge: (a, b) => !less(a, b),
  gt: (a, b) => less(b, a),
  html: (...args) => print(...args).replace(/[&<>"']/g, c => escapedInHtml[c] ?? c),
  index,
  join: (items, separator) => list(items).map(show).join(text(separator)),
  json: toJson,
  le: (a, b) => !less(b, a),
  len: length,
  lower: value => text(value).toLowerCase(),
  lt: less,
  ne: (a, b) => !same(a, b),
  not: value => !isTrue(value),
  pad,
  print,
  printf,
  println: (...args) => `${args.map(show).join(' ')}\n`,
  slice,
  split: (value, separator) => text(value).split(text(separator)),
  title: value => text(value).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_, a, b) => a + b.toUpperCase()),
  truncate: (value, size) => [...text(value)].slice(0, whole(size)).join(''),
  upper: value => text(value).toUpperCase(),
  urlquery: (...args) => encodeURIComponent(print(...args)).replaceAll('%20', '+'),
};
