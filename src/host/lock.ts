// Locks that the kernel holds for an open file (flock(2)): they end with the process, however it ends, and work on
// directories too. No file says who holds one, so nothing is ever stale.
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import { declareC, failedWith, lastErrno, SystemError } from './ffi.ts';

export type LockKind = 'shared' | 'exclusive';

export interface Lock {
  /** Ends the lock; more than once does nothing. */
  release(): void;
  [Symbol.dispose](): void;
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

let flock: ((...args: unknown[]) => number) | undefined;

/**
 * Locks a file (created with mode 0600 when it is not there) or an existing directory, without waiting.
 * @returns undefined while somebody else holds a lock that excludes this one, or when the file was removed meanwhile
 * @throws a system error when the file cannot be opened or the file system has no locks
 */
export function tryLock(path: string, kind: LockKind): Lock | undefined {
  const fd = openForLock(path);
  try {
    if (tryFlock(fd, kind, path) && isStill(path, fd)) return lockOf(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return undefined;
}

/**
 * As {@link tryLock}, waiting until the lock is free. Asks again and again, so that no thread blocks and a signal can
 * end it; waiters are not served in order.
 * @throws BuildError `interrupted` on abort
 */
export async function waitForLock(path: string, kind: LockKind, signal?: AbortSignal): Promise<Lock> {
  for (let delayMs = 2; ; delayMs = Math.min(delayMs * 2, 100)) {
    if (signal?.aborted) throw interrupted(path);
    const lock = tryLock(path, kind);
    if (lock) return lock;
    await sleep(delayMs, undefined, { signal }).catch(() => {});
  }
}

/**
 * As {@link tryLock}, waiting in the kernel: the whole thread stands still. For locks that are held for moments only.
 * @throws a system error
 */
export function lockBlocking(path: string, kind: LockKind): Lock {
  for (;;) {
    const fd = openForLock(path);
    try {
      if (tryFlock(fd, kind, path, { wait: true }) && isStill(path, fd)) return lockOf(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}

function interrupted(path: string): BuildError {
  return new BuildError('interrupted', 'interrupted while waiting for a lock', { facts: { path } });
}

function openForLock(path: string): number {
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const { O_RDONLY, O_DIRECTORY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  return openSync(path, (isDirectory ? O_RDONLY | O_DIRECTORY : O_RDWR | O_CREAT) | O_NOFOLLOW, 0o600);
}

function tryFlock(fd: number, kind: LockKind, path: string, { wait } = { wait: false }): boolean {
  flock ??= declareC('int flock(int fd, int operation)');
  const operation = (kind === 'shared' ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);
  for (;;) {
    if (flock(fd, operation) === 0) return true;
    if (failedWith('EWOULDBLOCK') || failedWith('EAGAIN')) return false;
    if (!failedWith('EINTR')) throw new SystemError(lastErrno(), 'flock', path);
  }
}

/** Whether the file that is locked is still the one at its path: another process may have removed it in between. */
function isStill(path: string, fd: number): boolean {
  const held = fstatSync(fd, { bigint: true });
  const there = statSync(path, { bigint: true, throwIfNoEntry: false });
  return there !== undefined && there.ino === held.ino && there.dev === held.dev;
}

function lockOf(fd: number): Lock {
  let open = true;
  const release = () => {
    if (open) closeSync(fd);
    open = false;
  };
  return { release, [Symbol.dispose]: release };
}
