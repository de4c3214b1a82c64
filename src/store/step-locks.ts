// Files whose kernel locks say that a process executes a step (build/step-lock.ts), in locks/ of the store.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { tryLock } from '../host/lock.ts';

/** The directory, made by whoever takes the first lock. */
export function stepLocksOf(root: string): string {
  return join(root, 'locks');
}

/** Removes the files that dead processes left: nobody holds them. Who takes one at this moment notices and makes it anew. */
export function removeIdleLocks(root: string): void {
  for (const name of namesIn(stepLocksOf(root))) {
    const path = join(stepLocksOf(root), name);
    using lock = tryLock(path, 'exclusive');
    if (lock) rmSync(path, { force: true });
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
