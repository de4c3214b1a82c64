// The directories of RUN --mount=type=cache: `mounts/<hash of the id>/<slot>/fs`; beside it how it was
// shared, and in `mounts/<hash>/id` the id. Who uses a slot holds a lock on its directory (build/steps/cache-mount.ts).
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { tryLock } from '../host/lock.ts';
import { removeTree } from '../host/temp.ts';
import { storing } from './failure.ts';
import { diskBytes } from './usage.ts';

export interface StoredMount {
  /** `<hash>/<slot>`. */
  readonly id: string;
  /** As the Dockerfile names it. */
  readonly name: string;
  /** How its last user took it: shared, locked or private. Absent: by a version that did not note it. */
  readonly sharing?: string;
  /** Of the slot. */
  readonly path: string;
  readonly bytes: number;
  readonly lastUsedMs: number;
}

/** @param root of the store */
export function listMounts(root: string): StoredMount[] {
  return namesIn(join(root, 'mounts')).flatMap(hash => {
    const home = join(root, 'mounts', hash);
    const name = readText(join(home, 'id')) ?? hash;
    return namesIn(home).flatMap(slot => {
      const path = join(home, slot);
      const stat = statSync(path, { throwIfNoEntry: false });
      const content = join(path, 'fs');
      if (!stat?.isDirectory() || !statSync(content, { throwIfNoEntry: false })) return [];
      const sharing = readText(join(path, 'sharing')) || undefined;
      return [
        {
          id: `${hash}/${slot}`,
          name,
          ...(sharing === undefined ? {} : { sharing }),
          path,
          bytes: diskBytes(content),
          lastUsedMs: stat.mtimeMs,
        },
      ];
    });
  });
}

/** Empties a slot; the directory stays, because somebody may be about to lock it. @returns false when it is in use */
export async function removeMount(mount: StoredMount): Promise<boolean> {
  const lock = tryLock(mount.path, 'exclusive');
  if (!lock) return false;
  try {
    await emptySlot(mount.path);
    return true;
  } finally {
    lock.release();
  }
}

/** With what was left of a removal that was interrupted; the caller holds the lock. @throws BuildError `store` */
export async function emptySlot(path: string): Promise<void> {
  await storing('removing a cache mount', path, async () => {
    for (const name of namesIn(path)) await removeTree(join(path, name));
  });
}

/** Whether a step has it mounted right now. */
export function isInUse(mount: StoredMount): boolean {
  const lock = tryLock(mount.path, 'exclusive');
  lock?.release();
  return lock === undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}
