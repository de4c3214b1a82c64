// Go values as templates print and compare them. A plain object is a struct: its fields are known, another one is an
// error. A Map is a map: what is not in it has no value.

export type Value =
  | undefined
  | null
  | string
  | number
  | boolean
  | readonly Value[]
  | Map<string, Value>
  | Struct;

export interface Struct {
  readonly [field: string]: Value;
}

/** Go's nil slice and nil map: empty, but `null` in JSON. */
export const nilList: readonly Value[] = Object.freeze([]);
export const nilMap: Map<string, Value> = new Map();

export function isStruct(value: Value): value is Struct {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

/** Neither empty nor zero. */
export function isTrue(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

/** As Go's fmt prints it with %v. */
export function show(value: Value): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (typeof value === 'number') return showNumber(value);
  if (typeof value !== 'object') return String(value);
  return showInside(value);
}

function showInside(value: Value): string {
  if (value === undefined || value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(showInside).join(' ')}]`;
  if (value instanceof Map) {
    const entries = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, inner]) => `${key}:${showInside(inner)}`).join(' ')}]`;
  }
  if (isStruct(value)) return `{${Object.values(value).map(showInside).join(' ')}}`;
  return show(value);
}

function showNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(value).replace(/e([+-])(\d)$/, 'e$10$2');
}

/** As docker's `json` function writes it. */
export function toJson(value: Value): string {
  return JSON.stringify(plain(value)).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

function plain(value: Value): unknown {
  if (value === undefined || value === nilList || value === nilMap) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    const entries = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner)]));
  }
  if (isStruct(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

/** JSON as a value; objects become structs, or maps where `isMap` says so of the field they stand in. */
export function fromJson(json: unknown, isMap: (field: string) => boolean, field = ''): Value {
  if (Array.isArray(json)) return json.map(item => fromJson(item, isMap));
  if (typeof json !== 'object' || json === null) return json as Value;
  const entries = Object.entries(json).map(([key, inner]) => [key, fromJson(inner, isMap, key)] as const);
  return isMap(field) ? new Map(entries) : Object.fromEntries(entries);
}
