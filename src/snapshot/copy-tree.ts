// Puts one overlay-format directory onto another as the overlay file system would show them, by copying: used where
// nothing may be mounted. Whiteouts remove, opaque directories empty, hard links stay hard links.
import {
  type BigIntStats,
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { cwdFd, orThrow, tryMknodAt } from '../host/fs-calls.ts';
import { setMtime } from '../host/times.ts';
import { removeXattr, writeXattr } from '../host/xattr.ts';
import { child, isOpaque, isWhiteout, ownXattrs, statIfThere } from './overlay-format.ts';

const isRoot = process.geteuid?.() === 0;
/** How long other work may have to wait. */
const TURN_MS = 20;

/** Lets other work go on now and then during a long synchronous job. */
export class Turns {
  #until = performance.now() + TURN_MS;

  async next(): Promise<void> {
    if (performance.now() < this.#until) return;
    await setImmediate();
    this.#until = performance.now() + TURN_MS;
  }
}

/**
 * Copies what `layer` holds onto `target`, an existing directory; both on the same machine, names are bytes.
 * @throws system errors
 */
export async function applyTree(layer: Buffer, target: Buffer, turns: Turns): Promise<void> {
  await applyDirectory(layer, target, new Map(), turns);
}

async function applyDirectory(
  from: Buffer,
  to: Buffer,
  links: Map<string, Buffer>,
  turns: Turns,
): Promise<void> {
  for (const name of readdirSync(from, { encoding: 'buffer' })) {
    await turns.next();
    const source = child(from, name);
    const stat = lstatSync(source, { bigint: true });
    if (stat.isDirectory()) await enterDirectory(source, child(to, name), links, turns);
    else replaceEntry(source, child(to, name), stat, links);
  }
  copyMetadata(from, to, lstatSync(from, { bigint: true }));
}

async function enterDirectory(
  from: Buffer,
  to: Buffer,
  links: Map<string, Buffer>,
  turns: Turns,
): Promise<void> {
  const there = statIfThere(to);
  if (there !== undefined && (!there.isDirectory() || isOpaque(from))) removeAll(to);
  if (statIfThere(to) === undefined) mkdirSync(to);
  await applyDirectory(from, to, links, turns);
}

function replaceEntry(from: Buffer, to: Buffer, stat: BigIntStats, links: Map<string, Buffer>): void {
  removeAll(to);
  if (isWhiteout(stat)) return;
  const inode = `${stat.dev}:${stat.ino}`;
  const first = links.get(inode);
  if (first !== undefined) {
    linkSync(first, to);
    return;
  }
  if (stat.nlink > 1n) links.set(inode, to);
  createEntry(from, to, stat);
  copyMetadata(from, to, stat);
}

function createEntry(from: Buffer, to: Buffer, stat: BigIntStats): void {
  if (stat.isFile()) {
    copyFileSync(from, to, constants.COPYFILE_FICLONE);
  } else if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(from, { encoding: 'buffer' }), to);
  } else {
    const device = Number(stat.rdev);
    const major = (device >> 8) & 0xfff;
    const minor = (device & 0xff) + Math.floor(device / 2 ** 20) * 256;
    const made = tryMknodAt(cwdFd, to.toString('latin1'), Number(stat.mode), major, minor);
    orThrow(made, 'mknod', to.toString());
  }
}

/** Owner first: changing it takes setuid bits and file capabilities away. Time last: everything else changes it. */
export function copyMetadata(from: Buffer, to: Buffer, stat: BigIntStats): void {
  lchownSync(to, Number(stat.uid), Number(stat.gid));
  const wanted = ownXattrs(from);
  // An ordinary user sets attributes only on what it may write.
  if (!isRoot && wanted.size > 0 && !stat.isSymbolicLink())
    chmodSync(to, Number(stat.mode & 0o7777n) | 0o200);
  for (const name of ownXattrs(to).keys()) if (!wanted.has(name)) removeXattr(to, name);
  for (const [name, value] of wanted) writeXattr(to, name, value);
  if (!stat.isSymbolicLink()) chmodSync(to, Number(stat.mode & 0o7777n));
  setMtime(to, stat.mtimeNs, { nofollow: true });
}

/** Removes a file, or a directory with everything in it; nothing there is fine. */
export function removeAll(path: Buffer): void {
  const stat = statIfThere(path);
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    unlinkSync(path);
    return;
  }
  for (const name of readdirSync(path, { encoding: 'buffer' })) removeAll(child(path, name));
  rmdirSync(path);
}
