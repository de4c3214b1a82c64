// The directories of RUN --mount=type=cache: `mounts/<hash of the id>/<slot>/fs`, `mounts/<hash>/id`. Who uses a slot
// holds a lock on its directory (build/steps/cache-mount.ts).
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
  /** Of the slot. */
  readonly path: string;
  readonly bytes: number;
  readonly lastUsedMs: number;
}

/** @param root of the store */
export function listMounts(root: string): StoredMount[] {
  return namesIn(join(root, 'mounts')).flatMap(hash => {
    const home = join(root, 'mounts', hash);
    const name = readName(join(home, 'id')) ?? hash;
    return namesIn(home).flatMap(slot => {
      const path = join(home, slot);
      const stat = statSync(path, { throwIfNoEntry: false });
      const content = join(path, 'fs');
      if (!stat?.isDirectory() || !statSync(content, { throwIfNoEntry: false })) return [];
      return [{ id: `${hash}/${slot}`, name, path, bytes: diskBytes(content), lastUsedMs: stat.mtimeMs }];
    });
  });
}

/** Empties a slot; the directory stays, because somebody may be about to lock it. @returns false when it is in use */
export async function removeMount(mount: StoredMount): Promise<boolean> {
  const lock = tryLock(mount.path, 'exclusive');
  if (!lock) return false;
  try {
    await storing('removing a cache mount', mount.path, () => removeTree(join(mount.path, 'fs')));
    return true;
  } finally {
    lock.release();
  }
}

function readName(path: string): string | undefined {
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
