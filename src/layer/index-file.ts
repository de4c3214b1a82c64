// A layer's index on disk: `layers/<hex>.idx` in the store. One line that names the format, the sha256 of what follows,
// then JSON in columns, which parses several times faster than a list of objects. A file that does not verify counts
// as absent: an index can always be made again.
import { createHash } from 'node:crypto';
import type { Digest } from '../image/digest.ts';
import type { BytePath, EntryType, LayerEntry } from '../tree/entry.ts';
import type { IndexedEntry } from './indexer.ts';

const magic = Buffer.from('slipway layer index 1\n');
const hashBytes = 32;

const letters: Readonly<Record<EntryType | 'whiteout', string>> = {
  file: 'f',
  directory: 'd',
  symlink: 's',
  hardlink: 'h',
  fifo: 'p',
  char: 'c',
  block: 'b',
  whiteout: 'w',
};
const types = new Map(
  Object.entries(letters).map(([type, letter]) => [letter, type as EntryType | 'whiteout']),
);

/** A number for every entry, or one for all of them. */
type Column = readonly number[] | number;

interface Columns {
  /** Number of bytes shared with the path before, and the rest of each. */
  readonly shared: readonly number[];
  readonly paths: readonly string[];
  readonly types: string;
  readonly mode: Column;
  readonly uid: Column;
  readonly gid: Column;
  readonly sec: Column;
  readonly nsec: Column;
  readonly size: Column;
  readonly offset: Column;
  readonly sparse: Column;
  /** By position, only for the few that have them. */
  readonly links: Readonly<Record<string, string>>;
  readonly devices: Readonly<Record<string, readonly [number, number]>>;
  readonly xattrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly opaque: readonly number[];
  /** base64 */
  readonly inline: Readonly<Record<string, string>>;
  readonly digests: Readonly<Record<string, Digest>>;
}

function column(list: readonly IndexedEntry[], pick: (item: IndexedEntry) => number): Column {
  const values = list.map(pick);
  const [first] = values;
  return first !== undefined && values.every(value => value === first) ? first : values;
}

function some<T>(
  list: readonly IndexedEntry[],
  pick: (item: IndexedEntry) => T | undefined,
): Record<string, T> {
  const found: Record<string, T> = {};
  list.forEach((item, i) => {
    const value = pick(item);
    if (value !== undefined) found[i] = value;
  });
  return found;
}

function sharedLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let i = 0;
  while (i < limit && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** @param list in byte order of the paths */
export function encodeIndex(list: readonly IndexedEntry[]): Buffer {
  const shared = list.map(({ entry }, i) => sharedLength(list[i - 1]?.entry.path ?? '', entry.path));
  const columns: Columns = {
    shared,
    paths: list.map(({ entry }, i) => entry.path.slice(shared[i])),
    types: list.map(({ entry }) => letters[entry.type]).join(''),
    mode: column(list, ({ entry }) => entry.mode),
    uid: column(list, ({ entry }) => entry.uid),
    gid: column(list, ({ entry }) => entry.gid),
    sec: column(list, ({ entry }) => entry.mtimeSec),
    nsec: column(list, ({ entry }) => entry.mtimeNsec),
    size: column(list, ({ entry }) => entry.size),
    offset: column(list, item => item.offset),
    sparse: column(list, item => item.sparseOffset),
    links: some(list, ({ entry }) => entry.linkTarget),
    devices: some(list, ({ entry }) =>
      entry.devMajor === undefined ? undefined : ([entry.devMajor, entry.devMinor ?? 0] as const),
    ),
    xattrs: some(list, ({ entry }) => entry.xattrs),
    opaque: list.flatMap(({ entry }, i) => (entry.opaque ? [i] : [])),
    inline: some(list, item => item.inline && Buffer.from(item.inline).toString('base64')),
    digests: some(list, item => item.digest),
  };
  const body = Buffer.from(JSON.stringify(columns));
  return Buffer.concat([magic, createHash('sha256').update(body).digest(), body]);
}

/** @returns undefined when the bytes are no index of this version or were damaged */
export function decodeIndex(bytes: Buffer): IndexedEntry[] | undefined {
  const start = magic.length + hashBytes;
  if (bytes.length < start || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const body = bytes.subarray(start);
  const found = createHash('sha256').update(body).digest();
  if (!found.equals(bytes.subarray(magic.length, start))) return undefined;
  return fromColumns(JSON.parse(body.toString()) as Columns);
}

function fromColumns(columns: Columns): IndexedEntry[] {
  const at = (values: Column, i: number): number => (typeof values === 'number' ? values : (values[i] ?? 0));
  const opaque = new Set(columns.opaque);
  let path = '';
  return columns.paths.map((rest, i) => {
    path = path.slice(0, columns.shared[i]) + rest;
    const entry: Mutable<LayerEntry> = {
      path: path as BytePath,
      type: types.get(columns.types[i] ?? '') ?? 'file',
      mode: at(columns.mode, i),
      uid: at(columns.uid, i),
      gid: at(columns.gid, i),
      mtimeSec: at(columns.sec, i),
      mtimeNsec: at(columns.nsec, i),
      size: at(columns.size, i),
    };
    const link = columns.links[i];
    if (link !== undefined) entry.linkTarget = link;
    const device = columns.devices[i];
    if (device) [entry.devMajor, entry.devMinor] = device;
    const xattrs = columns.xattrs[i];
    if (xattrs) entry.xattrs = xattrs;
    if (opaque.has(i)) entry.opaque = true;
    const inline = columns.inline[i];
    const digest = columns.digests[i];
    return {
      entry,
      offset: at(columns.offset, i),
      sparseOffset: at(columns.sparse, i),
      ...(inline === undefined ? {} : { inline: Buffer.from(inline, 'base64') }),
      ...(digest === undefined ? {} : { digest }),
    };
  });
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
