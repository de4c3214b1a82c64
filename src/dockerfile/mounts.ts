// RUN --mount as written: https://docs.docker.com/reference/dockerfile/#run---mount
// Values may hold variables, so here only keys are checked, and values that cannot change; resolve-mount.ts does the
// rest once the variables are known.
import type { Diagnostic, SourceRange } from '../errors.ts';
import { quoted } from './chars.ts';
import { csvFields } from './csv.ts';
import type { MountFlag, Text } from './instructions.ts';
import { didYouMean } from './suggest.ts';

export const MOUNT_TYPES = ['bind', 'cache', 'secret', 'ssh', 'tmpfs'] as const;

type MountType = MountFlag['type'];

/** Each spelling of a key and the one that MountFlag.fields uses. */
const KEYS: Readonly<Record<string, string>> = {
  type: 'type',
  from: 'from',
  source: 'source',
  src: 'source',
  target: 'target',
  dst: 'target',
  destination: 'target',
  readonly: 'readonly',
  ro: 'readonly',
  readwrite: 'readwrite',
  rw: 'readwrite',
  required: 'required',
  size: 'size',
  id: 'id',
  sharing: 'sharing',
  mode: 'mode',
  uid: 'uid',
  gid: 'gid',
  env: 'env',
};

/** Keys that may stand without a value. */
const SWITCHES = new Set(['readonly', 'readwrite', 'required']);

/** Keys that only some types have; a key that is not here is accepted, and maybe without effect, everywhere. */
const BELONGS: Readonly<Record<string, readonly MountType[]>> = {
  size: ['tmpfs'],
  sharing: ['cache'],
  required: ['secret', 'ssh'],
  mode: ['cache', 'secret', 'ssh'],
  uid: ['cache', 'secret', 'ssh'],
  gid: ['cache', 'secret', 'ssh'],
  from: ['bind', 'cache', 'ssh', 'tmpfs'],
};

/** Keys that must stand behind `type=`. */
const AFTER_TYPE = new Set(['size', 'required']);

/** Marks a part of the flag's value, given as offsets in it. */
type PlaceOf = (start: number, end: number) => SourceRange;

interface Field {
  readonly key: string;
  readonly value: string;
  readonly written: string;
  readonly range: SourceRange;
}

/** Splits a --mount value. Wrong keys are reported and undefined is returned. */
export function parseMountFlag(
  text: Text,
  problems: Diagnostic[],
  placeOf: PlaceOf = () => text.range,
): MountFlag | undefined {
  const before = problems.length;
  const fields = readFields(text, problems, placeOf);
  const type = typeOf(fields, problems);
  let afterType = false;
  for (const field of fields) {
    checkField(field, type, afterType, problems);
    if (field.key === 'type') afterType = true;
  }
  if (problems.length > before) return undefined;
  return { text, fields: fields.map(({ key, value }) => ({ key, value })), type: type ?? 'bind' };
}

function readFields(text: Text, problems: Diagnostic[], placeOf: PlaceOf): Field[] {
  const split = text.raw === '' ? { problem: 'it is empty' } : csvFields(text.raw);
  if ('problem' in split) {
    problems.push(mountProblem('invalid-mount', `the mount cannot be read: ${split.problem}`, text.range));
    return [];
  }
  return split.flatMap(({ value: field, start, end }) => {
    const range = placeOf(start, end);
    const equals = field.indexOf('=');
    const written = (equals === -1 ? field : field.slice(0, equals)).toLowerCase();
    const key = Object.hasOwn(KEYS, written) ? KEYS[written] : undefined;
    if (key === undefined) problems.push(unknownKey(written, range));
    else if (equals !== -1) return [{ key, value: field.slice(equals + 1), written, range }];
    else if (SWITCHES.has(key)) return [{ key, value: 'true', written, range }];
    else
      problems.push(
        mountProblem('missing-mount-value', `${written} needs a value`, range, `write ${written}=...`),
      );
    return [];
  });
}

/** Whether a value is the same after expansion. */
function isConstant(value: string): boolean {
  return !/[$'"\\`]/.test(value);
}

/** The type, undefined while a variable decides it. */
function typeOf(fields: readonly Field[], problems: Diagnostic[]): MountType | undefined {
  const field = fields.findLast(({ key }) => key === 'type');
  if (field === undefined) return 'bind';
  if (!isConstant(field.value)) return undefined;
  const type = mountType(field.value);
  if (type === undefined) problems.push(unknownType(field.value, field.range));
  return type;
}

export function mountType(value: string): MountType | undefined {
  const lower = value.toLowerCase();
  return MOUNT_TYPES.find(type => type === lower);
}

function checkField(field: Field, type: MountType | undefined, afterType: boolean, problems: Diagnostic[]) {
  const { key, written, value, range } = field;
  // A dollar at the very end names no variable.
  if (key === 'from' && value.slice(0, -1).includes('$')) problems.push(variableInFrom(range));
  const wrong = type === undefined ? undefined : misplacedKey(written, key, type, range);
  if (wrong !== undefined) problems.push(wrong);
  else if (AFTER_TYPE.has(key) && !afterType) {
    const hint = `write type=... before ${written}`;
    problems.push(
      mountProblem('invalid-mount', `${written} stands before the type of the mount`, range, hint),
    );
  }
}

/** The error for a key that a mount of this type does not have. */
export function misplacedKey(
  written: string,
  key: string,
  type: MountType,
  range: SourceRange,
): Diagnostic | undefined {
  const types = BELONGS[key];
  if (types === undefined || types.includes(type)) return undefined;
  const others = types.join(' and ');
  const message = `a ${type} mount has no ${written}`;
  return mountProblem('invalid-mount', message, range, `${written} belongs to ${others} mounts`);
}

export function unknownType(value: string, range: SourceRange): Diagnostic {
  const hint = didYouMean(value, MOUNT_TYPES) ?? `types are ${MOUNT_TYPES.join(', ')}`;
  return mountProblem('unknown-mount-type', `unknown mount type ${quoted(value)}`, range, hint);
}

export function mountProblem(rule: string, message: string, range: SourceRange, hint?: string): Diagnostic {
  return { severity: 'error', rule, message, ...(hint === undefined ? {} : { hint }), range };
}

function unknownKey(written: string, range: SourceRange): Diagnostic {
  const keys = Object.keys(KEYS);
  const hint = didYouMean(written, keys) ?? `keys are ${[...new Set(Object.values(KEYS))].join(', ')}`;
  return mountProblem('unknown-mount-key', `a mount has no ${quoted(written)}`, range, hint);
}

function variableInFrom(range: SourceRange): Diagnostic {
  const message = 'expansion is not supported in from';
  const hint = 'give the image a name with FROM ... AS name, where variables work, and use that name';
  return mountProblem('variable-in-from', message, range, hint);
}
