// How an overlay directory says that something is gone (docs.kernel.org/filesystems/overlayfs.html): a character device
// 0:0 hides a name of the layers below, the attribute trusted.overlay.opaque hides everything that a directory has below.
// In a user namespace it is user.overlay.opaque, which elsewhere says nothing: a step may set it on what it likes.
import { type BigIntStats, chmodSync, chownSync, lstatSync, type Stats } from 'node:fs';
import { cwdFd, orThrow, tryMknodAt } from '../host/fs-calls.ts';
import { inUserNamespace } from '../host/ids.ts';
import { setMtime } from '../host/times.ts';
import { readXattr, readXattrs, writeXattr } from '../host/xattr.ts';

const S_IFCHR = 0o020000;

/** `dir` and a name in it, both as bytes. */
export function child(dir: Buffer, name: Buffer): Buffer {
  return Buffer.concat([dir, Buffer.from('/'), name]);
}

/** What is at a path, undefined when nothing is; a symlink is itself. */
export function statIfThere(path: Buffer): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

export function isWhiteout(stat: Stats | BigIntStats): boolean {
  return stat.isCharacterDevice() && BigInt(stat.rdev) === 0n;
}

/** Root alone may read `trusted` attributes; everybody else's trees are marked by the other kind. */
function opaqueMark(): string {
  mark ??= `${process.geteuid?.() === 0 && !inUserNamespace() ? 'trusted' : 'user'}.overlay.opaque`;
  return mark;
}

let mark: string | undefined;

/** Whether a directory hides what is below it. */
export function isOpaque(dir: Buffer): boolean {
  return readXattr(dir, opaqueMark())?.toString() === 'y';
}

/** Makes a directory hide what is below it. @throws SystemError */
export function makeOpaque(dir: Buffer): void {
  writeXattr(dir, opaqueMark(), Buffer.from('y'));
}

/** Makes a whiteout. @throws SystemError */
export function makeWhiteout(path: Buffer): void {
  orThrow(tryMknodAt(cwdFd, path.toString('latin1'), S_IFCHR, 0, 0), 'mknod', path.toString());
}

/** Attributes without the ones that the overlay file system keeps for itself. */
export function ownXattrs(path: Buffer): ReadonlyMap<string, Buffer> {
  return new Map([...readXattrs(path)].filter(([name]) => !/^(trusted|user)\.overlay\./.test(name)));
}

/** Whether two files have the same attributes. */
export function sameXattrs(a: Buffer, b: Buffer): boolean {
  const left = ownXattrs(a);
  const right = ownXattrs(b);
  if (left.size !== right.size) return false;
  return [...left].every(([name, value]) => right.get(name)?.equals(value));
}

/** The directories of the layers that together make `name`, uppermost first; empty when the uppermost is no directory. */
export function directoriesBelow(parents: readonly Buffer[], name: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  for (const parent of parents) {
    const path = child(parent, name);
    const stat = statIfThere(path);
    if (stat === undefined) continue;
    if (!stat.isDirectory()) break;
    found.push(path);
    if (isOpaque(path)) break;
  }
  return found;
}

/**
 * The root of an overlay shows what its uppermost directory is: owner and time are taken from below. The mode is 0755
 * whatever the layers say, as with Docker and containerd: an archive made from a temporary directory has 0700 for it,
 * and no other user than root could run anything.
 */
export function likeBelow(upper: string, below: string | undefined): void {
  if (below === undefined) {
    if (process.geteuid?.() === 0) chownSync(upper, 0, 0);
    chmodSync(upper, 0o755);
    return;
  }
  const stat = lstatSync(below, { bigint: true });
  if (process.geteuid?.() === 0) chownSync(upper, Number(stat.uid), Number(stat.gid));
  chmodSync(upper, 0o755);
  setMtime(upper, stat.mtimeNs);
}
