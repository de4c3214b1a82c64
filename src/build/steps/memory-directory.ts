// A directory whose files exist in memory only: a tmpfs in our own mount namespace, gone with the process. Where nothing
// can be mounted, /dev/shm, and where there is none either, a private directory of the store that is removed afterwards.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../errors.ts';
import { mountTmpfs, unmount } from '../../host/mount.ts';
import { enterMountNamespace } from '../../host/namespace.ts';

/** @param parent an existing private directory to make it in */
export function memoryDirectory(parent: string): { path: string; close: () => void } {
  if (!canMount()) return sharedMemory() ?? plainDirectory(parent);
  const path = mkdtempSync(join(parent, 'memory-'));
  mountTmpfs(path, { mode: 0o700, nosuid: true, nodev: true });
  return {
    path,
    close: () => {
      unmount(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function canMount(): boolean {
  try {
    enterMountNamespace();
    return true;
  } catch (error) {
    if (error instanceof BuildError && error.code === 'sandbox') return false;
    throw error;
  }
}

const TMPFS_MAGIC = 0x01021994;

/** Where nothing may be mounted: a directory in the machine's own memory file system. */
function sharedMemory(): { path: string; close: () => void } | undefined {
  try {
    if (statfsSync('/dev/shm').type !== TMPFS_MAGIC) return undefined;
    return plainDirectory('/dev/shm');
  } catch {
    return undefined; // not there, or not writable
  }
}

function plainDirectory(parent: string): { path: string; close: () => void } {
  const path = mkdtempSync(join(parent, 'slipway-memory-'));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}
