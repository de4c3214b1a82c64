// Removing what we do not trust: relative to descriptors, no link followed, no mount entered, whatever the modes are.
import { chmodSync, closeSync, constants, fchmodSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { atFlags, openFlags, orThrow, procPath, tryOpenAt, tryUnlinkAt } from '../host/fs-calls.ts';
import { Descent } from './descent.ts';

const errno = { perm: 1, noEntry: 2, access: 13, isDirectory: 21, notEmpty: 39 } as const;
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

/** Whether a path (below the directory that is being emptied) stays; a directory with something kept in it stays too. */
export type Keep = (path: string) => boolean;

/**
 * Removes a file or a whole directory; a link is removed itself. Nothing there is fine.
 * @param dirFd the directory that `name` is in
 * @throws a system error; BuildError `hostile` when something is mounted below
 */
export function removeAt(dirFd: number, name: string, keep?: Keep): void {
  const result = tryUnlinkAt(dirFd, name);
  if (result === 0 || result === -errno.noEntry) return;
  // Directories: EISDIR on Linux, EPERM elsewhere in POSIX.
  if (result !== -errno.isDirectory && result !== -errno.perm) orThrow(result, 'unlinkat', name);
  const rootFd = openToEmpty(dirFd, name, result);
  try {
    removeContents(rootFd, keep);
  } finally {
    closeSync(rootFd);
  }
  const removed = tryUnlinkAt(dirFd, name, atFlags.removeDir);
  if (removed === -errno.notEmpty && keep !== undefined) return;
  if (removed !== -errno.noEntry) orThrow(removed, 'unlinkat', name);
}

/** Opens a directory that shall be emptied, giving its owner the right to where that is missing. */
function openToEmpty(dirFd: number, name: string, unlinkResult: number): number {
  const fd = tryOpenAt(dirFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd !== -errno.access) return orThrow(fd < 0 ? unlinkResult : fd, 'unlinkat', name);
  grant(dirFd, name);
  return orThrow(tryOpenAt(dirFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), 'openat', name);
}

function grant(dirFd: number, name: string): void {
  const fd = orThrow(tryOpenAt(dirFd, name, openFlags.path | O_DIRECTORY | O_NOFOLLOW), 'openat', name);
  try {
    chmodSync(procPath(fd, ''), 0o700);
  } finally {
    closeSync(fd);
  }
}

/** Empties an open directory. */
export function removeContents(rootFd: number, keep?: Keep): void {
  const descent = new Descent(rootFd);
  /** Names still to do, for each level we are in. */
  const pending: string[][] = [descent.names()];
  try {
    while (pending.length > 0) {
      const name = pending.at(-1)?.pop();
      if (name === undefined) {
        pending.pop();
        if (descent.depth > 0) leaveAndRemove(descent, keep);
      } else if (!removeOne(descent, name, keep)) pending.push(descent.names());
    }
  } finally {
    descent.close();
  }
}

function childPath(descent: Descent, name: string): string {
  const path = descent.path;
  return path === '' ? name : `${path}/${name}`;
}

/** @returns false when `name` is a directory, which was entered */
function removeOne(descent: Descent, name: string, keep: Keep | undefined): boolean {
  if (keep?.(childPath(descent, name)) === true) return descent.tryEnter(name) !== 0;
  const result = withRights(descent, () => tryUnlinkAt(descent.fd, name));
  if (result === 0 || result === -errno.noEntry) return true;
  if (result !== -errno.isDirectory && result !== -errno.perm) orThrow(result, 'unlinkat', name);
  let entered = descent.tryEnter(name);
  if (entered === -errno.access) {
    grant(descent.fd, name);
    entered = descent.tryEnter(name);
  }
  if (entered < 0) orThrow(result, 'unlinkat', name);
  return false;
}

/** Tries again with write permission on the directory we are in. */
function withRights(descent: Descent, act: () => number): number {
  const result = act();
  if (result !== -errno.access) return result;
  fchmodSync(descent.fd, 0o700);
  return act();
}

function leaveAndRemove(descent: Descent, keep: Keep | undefined): void {
  const name = descent.name;
  const kept = keep?.(descent.path) ?? false;
  descent.leave();
  if (kept) return;
  const result = withRights(descent, () => tryUnlinkAt(descent.fd, name, atFlags.removeDir));
  if (result === -errno.notEmpty && keep !== undefined) return;
  if (result !== -errno.noEntry) orThrow(result, 'unlinkat', name);
}

/**
 * Removes `dir` and everything in it; nothing there is fine.
 * @param dir a path that we chose ourselves; if its last component is a link, the link goes
 */
export function removeTree(dir: string): void {
  const parent = openSync(dirname(dir), O_RDONLY | O_DIRECTORY);
  try {
    removeAt(parent, Buffer.from(basename(dir)).toString('latin1'));
  } finally {
    closeSync(parent);
  }
}
