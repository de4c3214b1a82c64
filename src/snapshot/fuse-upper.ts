// What fuse-overlayfs leaves in an upper directory, made what the kernel's overlay would have left.
// - It says that a directory is opaque by a file in it (.wh..wh..opq), a whiteout of that file's name, and an attribute
//   under one of several names; where it cannot make a whiteout as the kernel does, a file .wh.NAME stands for one.
//   New directories are opaque, and what was made and removed leaves a whiteout, whether or not anything is below.
// - Copying something up changes the time of the directory that it is in. It is put back where nothing else was done in
//   the directory: what else may have changed the time there during the step cannot be told from that.
import { type BigIntStats, lstatSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { setMtime } from '../host/times.ts';
import { readXattr, readXattrs, removeXattr } from '../host/xattr.ts';
import {
  child,
  directoriesBelow,
  isOpaque,
  isWhiteout,
  makeOpaque,
  makeWhiteout,
  statIfThere,
} from './overlay-format.ts';

const PREFIX = Buffer.from('.wh.');
const OPAQUE = Buffer.from('.wh..wh..opq');
/** A file that was copied up has its path in the layers here. */
const ORIGIN = 'user.fuseoverlayfs.origin';
/** Hidden while it is mounted. A step may set some of them, which must not speak for the layer. */
const ownAttribute = /^(?:trusted|user)\.(?:overlay|fuseoverlayfs)\./;

/** When something was mounted, by the clock of its file system. */
export interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * @param upper nothing is mounted on it any more
 * @param lowers the layers below, lowest first
 * @throws system errors, where whiteouts cannot be made
 */
export function tidyFuseUpper(upper: string, lowers: readonly string[], span: Span): void {
  const below = lowers.map(lower => Buffer.from(lower)).reverse();
  tidyDirectory({ path: Buffer.from(upper), inside: Buffer.alloc(0), below, covers: true }, span);
}

interface Directory {
  readonly path: Buffer;
  /** The path inside of the layer, without a slash at its start. */
  readonly inside: Buffer;
  /** The directories of the layers that it shows, uppermost first. */
  readonly below: readonly Buffer[];
  /** Whether the layers show anything in its place. */
  readonly covers: boolean;
}

function tidyDirectory(dir: Directory, span: Span): void {
  const { mtimeNs } = lstatSync(dir.path, { bigint: true });
  removeOwnAttributes(dir.path);
  for (const name of readdirSync(dir.path, { encoding: 'buffer' })) {
    if (name.subarray(0, PREFIX.length).equals(PREFIX)) replaceMark(dir, name);
  }
  const below = isOpaque(dir.path) ? [] : dir.below;
  const entries = readdirSync(dir.path, { encoding: 'buffer' });
  const copies = entries.filter(name => tidyEntry({ ...dir, below }, name, span)).length;
  const [original] = below;
  const isSideEffect = copies > 0 && copies === entries.length && isWithin(mtimeNs, span);
  setMtime(dir.path, original !== undefined && isSideEffect ? mtimeOf(original) : mtimeNs);
}

function mtimeOf(path: Buffer): bigint {
  return lstatSync(path, { bigint: true }).mtimeNs;
}

/** A time outside is one that the step has set. */
function isWithin(time: bigint, span: Span): boolean {
  return time >= span.start && time <= span.end;
}

/** No layer and no step has names that begin as this one does. */
function replaceMark(dir: Directory, name: Buffer): void {
  const path = child(dir.path, name);
  const speaks = lstatSync(path).isFile();
  unlinkSync(path);
  if (!speaks) return;
  if (!name.equals(OPAQUE)) makeWhiteout(child(dir.path, name.subarray(PREFIX.length)));
  else if (dir.covers) makeOpaque(dir.path);
}

/** @returns whether the entry was copied up, rather than made */
function tidyEntry(dir: Directory, name: Buffer, span: Span): boolean {
  const path = child(dir.path, name);
  const inside = dir.inside.length === 0 ? name : child(dir.inside, name);
  const stat = lstatSync(path, { bigint: true });
  const original = originalOf(dir.below, name);
  if (stat.isDirectory()) {
    const below = directoriesBelow(dir.below, name);
    tidyDirectory({ path, inside, below, covers: original !== undefined }, span);
    return below.length > 0 && !isOpaque(path);
  }
  if (isWhiteout(stat)) {
    if (original === undefined) unlinkSync(path);
    return false;
  }
  if (stat.isSymbolicLink()) return tidyLink(path, stat.mtimeNs, original, span);
  if (!stat.isFile()) return original?.stat.rdev === stat.rdev;
  const origin = readXattr(path, ORIGIN)?.toString('latin1').replace(/\0$/, '');
  removeOwnAttributes(path);
  return origin === inside.toString('latin1');
}

/** Links have no attribute that would say where they are from; copied up, they have a new time. */
function tidyLink(path: Buffer, mtimeNs: bigint, original: Original | undefined, span: Span): boolean {
  if (!original?.stat.isSymbolicLink()) return false;
  const [now, before] = [path, original.path].map(link => readlinkSync(link, { encoding: 'buffer' }));
  if (now === undefined || before === undefined || !now.equals(before)) return false;
  if (isWithin(mtimeNs, span)) setMtime(path, original.stat.mtimeNs, { nofollow: true });
  return true;
}

interface Original {
  readonly path: Buffer;
  readonly stat: BigIntStats;
}

/** What a name showed before; undefined when that was nothing. */
function originalOf(parents: readonly Buffer[], name: Buffer): Original | undefined {
  for (const parent of parents) {
    const path = child(parent, name);
    const stat = statIfThere(path);
    if (stat !== undefined) return isWhiteout(stat) ? undefined : { path, stat };
  }
  return undefined;
}

function removeOwnAttributes(path: Buffer): void {
  for (const name of readXattrs(path).keys()) if (ownAttribute.test(name)) removeXattr(path, name);
}
