// A specification of the Container Device Interface (github.com/cncf-tags/container-device-interface/blob/main/SPEC.md):
// checked, as values. A field that is not known is a fault: passing it over would give a step less than its device needs.
import { printable } from '../../errors.ts';
import { isDeviceWord, isKind } from './names.ts';

/** A device file. */
export interface DeviceNode {
  /** Absolute path inside. */
  readonly path: string;
  readonly hostPath: string;
  /** Type and numbers; absent: those of the file at `hostPath`. */
  readonly numbers?: { readonly type: 'c' | 'b'; readonly major: number; readonly minor: number };
  readonly type?: 'c' | 'b';
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** What may be done: letters of `rwm`; '': nothing. */
  readonly access: string;
}

/** A directory, file or socket of this machine. */
export interface DeviceMount {
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  readonly readonly: boolean;
  readonly noexec: boolean;
}

export const hookNames = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;

/** A program of this machine that a runtime is to start at some point. */
export interface DeviceHook {
  readonly name: (typeof hookNames)[number];
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

/** What a device changes about a step. */
export interface DeviceEdits {
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly nodes: readonly DeviceNode[];
  readonly mounts: readonly DeviceMount[];
  readonly hooks: readonly DeviceHook[];
  readonly groups: readonly number[];
  /** What else is asked for, and cannot be given by slipway. */
  readonly others: readonly string[];
}

export interface CdiDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  readonly kind: string;
  /** Path of its specification. */
  readonly file: string;
  /** Its own before those of the specification. */
  readonly annotations: ReadonlyMap<string, string>;
  readonly edits: DeviceEdits;
  /** Of all devices of the specification: made once, when any of them is given. */
  readonly common: DeviceEdits;
}

/** What is wrong with a specification, one sentence that goes on behind its name. */
export class Fault extends Error {}

const topFields = ['cdiVersion', 'kind', 'annotations', 'devices', 'containerEdits'];
const deviceFields = ['name', 'annotations', 'containerEdits'];
/** netDevices and intelRdt are known, and cannot be given. */
const otherEdits = ['netDevices', 'intelRdt'];
/** The reference writes it one way and documents the other. */
const groupFields = ['additionalGids', 'additionalGIDs'];
const editFields = ['env', 'deviceNodes', 'mounts', 'hooks', ...groupFields, ...otherEdits];
const nodeFields = ['path', 'hostPath', 'type', 'major', 'minor', 'fileMode', 'permissions', 'uid', 'gid'];
const mountFields = ['hostPath', 'containerPath', 'type', 'options'];
const hookFields = ['hookName', 'path', 'args', 'env', 'timeout'];

const LARGEST_ID = 0xffff_fffe;
/** The kernel has 12 bits for the one and 20 for the other. */
const LARGEST_MAJOR = 0xfff;
const LARGEST_MINOR = 0xf_ffff;
const LONGEST_PATH = 4095;
const MOST_SECONDS = 86_400;

/**
 * @param value what the file holds
 * @throws Fault
 */
export function readSpecification(value: unknown, file: string): readonly CdiDevice[] {
  const top = fieldsOf(value, 'it', topFields);
  const version = textOf(top.cdiVersion, 'cdiVersion');
  if (!/^v?(?:0\.[3-9]|1)\.\d+(?:\.\d+)?$/.test(version)) {
    throw new Fault(`cdiVersion ${shown(version)} is not known here (known: 0.3.0 to 1.x)`);
  }
  const kind = textOf(top.kind, 'kind');
  if (!isKind(kind)) throw new Fault(`kind ${shown(kind)} is not vendor/class`);
  const annotations = annotationsOf(top.annotations, 'annotations');
  const common = editsOf(top.containerEdits, 'containerEdits');
  const devices = listOf(top.devices, 'devices').map((each, i): CdiDevice => {
    const where = `devices[${i}]`;
    const fields = fieldsOf(each, where, deviceFields);
    // 0 is as good as "0" to the tools that read these files.
    const name = Number.isInteger(fields.name) ? String(fields.name) : textOf(fields.name, `${where}.name`);
    if (!isDeviceWord(name)) throw new Fault(`${where}.name ${shown(name)} is no name of a device`);
    const own = annotationsOf(fields.annotations, `${where}.annotations`);
    return {
      name: `${kind}=${name}`,
      kind,
      file,
      annotations: new Map([...annotations, ...own]),
      edits: editsOf(fields.containerEdits, `${where}.containerEdits`),
      common,
    };
  });
  if (devices.length === 0) throw new Fault('it has no devices');
  const names = new Set<string>();
  for (const { name } of devices) {
    if (names.has(name)) throw new Fault(`it has two devices ${name}`);
    names.add(name);
  }
  return devices;
}

function editsOf(value: unknown, where: string): DeviceEdits {
  const fields = isAbsent(value) ? {} : fieldsOf(value, where, editFields);
  const each = <T>(field: string, read: (value: unknown, where: string) => T): readonly T[] =>
    listOf(fields[field], `${where}.${field}`).map((item, i) => read(item, `${where}.${field}[${i}]`));
  return {
    env: each('env', variableOf),
    nodes: each('deviceNodes', nodeOf),
    mounts: each('mounts', mountOf),
    hooks: each('hooks', hookOf),
    // The group 0 means nothing here.
    groups: groupFields
      .flatMap(field => each(field, (item, at) => wholeOf(item, at, LARGEST_ID)))
      .filter(id => id !== 0),
    others: otherEdits.filter(field => !isAbsent(fields[field])),
  };
}

function nodeOf(value: unknown, where: string): DeviceNode {
  const fields = fieldsOf(value, where, nodeFields);
  const path = placeOf(fields.path, `${where}.path`);
  const number = (field: string, most: number) =>
    isAbsent(fields[field]) ? undefined : wholeOf(fields[field], `${where}.${field}`, most);
  const type = isAbsent(fields.type) ? undefined : typeOf(fields.type, `${where}.type`);
  const [major, minor] = [number('major', LARGEST_MAJOR), number('minor', LARGEST_MINOR)];
  const [mode, uid, gid] = [number('fileMode', 0xffff), number('uid', LARGEST_ID), number('gid', LARGEST_ID)];
  return {
    path,
    hostPath: isAbsent(fields.hostPath) ? path : pathOf(fields.hostPath, `${where}.hostPath`),
    ...(type === undefined ? {} : { type }),
    // As the reference does it: without a type, or with major number 0, the file of this machine says.
    ...(type === undefined || !major ? {} : { numbers: { type, major, minor: minor ?? 0 } }),
    ...(mode === undefined ? {} : { mode: mode & 0o777 }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    access: accessOf(fields.permissions, `${where}.permissions`),
  };
}

function typeOf(value: unknown, where: string): 'c' | 'b' | undefined {
  const type = textOf(value, where);
  if (type === 'c' || type === 'u') return 'c';
  if (type === 'b') return 'b';
  if (type === '') return undefined;
  throw new Fault(`${where} ${shown(type)} is neither c nor b`);
}

function accessOf(value: unknown, where: string): string {
  const access = isAbsent(value) ? '' : textOf(value, where);
  if (access === '') return 'rwm';
  if (access === 'none') return '';
  if (/^[rwm]+$/.test(access)) return access;
  throw new Fault(`${where} ${shown(access)} is not made of r, w and m`);
}

/** What every mount is anyway, besides what is kept as asked. */
const mountOptions = [
  'bind',
  'rbind',
  'ro',
  'rw',
  'nosuid',
  'nodev',
  'noexec',
  'exec',
  'private',
  'rprivate',
];

function mountOf(value: unknown, where: string): DeviceMount {
  const fields = fieldsOf(value, where, mountFields);
  const type = isAbsent(fields.type) ? '' : textOf(fields.type, `${where}.type`);
  if (!['', 'bind', 'none'].includes(type)) {
    throw new Fault(`${where}.type ${shown(type)} is not supported, only bind is`);
  }
  const options = listOf(fields.options, `${where}.options`).map(each => textOf(each, `${where}.options`));
  const unknown = options.find(option => !mountOptions.includes(option));
  if (unknown !== undefined) {
    throw new Fault(
      `${where}.options: ${shown(unknown)} is not supported (supported: ${mountOptions.join(', ')})`,
    );
  }
  return {
    source: pathOf(fields.hostPath, `${where}.hostPath`),
    target: placeOf(fields.containerPath, `${where}.containerPath`),
    readonly: options.findLast(option => option === 'ro' || option === 'rw') === 'ro',
    noexec: options.findLast(option => option === 'exec' || option === 'noexec') === 'noexec',
  };
}

function hookOf(value: unknown, where: string): DeviceHook {
  const fields = fieldsOf(value, where, hookFields);
  const word = textOf(fields.hookName, `${where}.hookName`);
  const name = hookNames.find(each => each === word);
  if (name === undefined) throw new Fault(`${where}.hookName ${shown(word)} is not known`);
  const timeout = isAbsent(fields.timeout) ? 0 : wholeOf(fields.timeout, `${where}.timeout`, MOST_SECONDS);
  return {
    name,
    path: pathOf(fields.path, `${where}.path`),
    args: listOf(fields.args, `${where}.args`).map((each, i) => textOf(each, `${where}.args[${i}]`)),
    env: listOf(fields.env, `${where}.env`).map((each, i) => variableOf(each, `${where}.env[${i}]`)),
    ...(timeout === 0 ? {} : { timeout }),
  };
}

function annotationsOf(value: unknown, where: string): ReadonlyMap<string, string> {
  if (isAbsent(value)) return new Map();
  return new Map(
    Object.entries(fieldsOf(value, where)).map(([name, text]) => {
      // true and 1 are as good as "true" and "1" to the tools that read these files.
      if (typeof text === 'boolean' || typeof text === 'number') return [name, String(text)];
      return [name, textOf(text, `${where}.${shown(name)}`)];
    }),
  );
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

/** @param known the names that there may be; default: any */
function fieldsOf(value: unknown, where: string, known?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Fault(`${where} ${where === 'it' ? 'holds' : 'is'} no object`);
  }
  const unknown = known && Object.keys(value).find(name => !known.includes(name));
  if (unknown !== undefined) {
    throw new Fault(`${where} has a field ${shown(unknown)}, which is not known here`);
  }
  return value as Record<string, unknown>;
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) throw new Fault(`${where} is no list`);
  return value;
}

function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new Fault(`${where} is no text`);
  if (value.includes('\0')) throw new Fault(`${where} has a zero byte in it`);
  return value;
}

function wholeOf(value: unknown, where: string, most: number): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number;
  throw new Fault(`${where} is no whole number from 0 to ${most}`);
}

function variableOf(value: unknown, where: string): string {
  const text = textOf(value, where);
  if (text.indexOf('=') > 0) return text;
  throw new Fault(`${where} ${shown(text)} is not NAME=value`);
}

function pathOf(value: unknown, where: string): string {
  const path = textOf(value, where);
  if (!path.startsWith('/')) throw new Fault(`${where} ${shown(path)} is not absolute`);
  if (path.split('/').includes('..')) throw new Fault(`${where} ${shown(path)} has .. in it`);
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new Fault(`${where} is longer than ${LONGEST_PATH} bytes`);
  return path;
}

/** A path inside. */
function placeOf(value: unknown, where: string): string {
  const path = pathOf(value, where).replace(/\/+(?:\.?\/+)*/g, '/');
  const place = path.replace(/\/\.?$/, '') || '/';
  if (!/^\/$|^\/dev$|^\/(?:proc|sys)(?:\/|$)/.test(place)) return place;
  throw new Fault(`${where} ${shown(path)}: nothing can be put there`);
}

function shown(text: string): string {
  return printable(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
