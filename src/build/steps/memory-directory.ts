// A directory whose files exist in memory only: a tmpfs in our own mount namespace, gone with the process.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mountTmpfs, unmount } from '../../host/mount.ts';
import { enterMountNamespace } from '../../host/namespace.ts';

/** @param parent an existing private directory to make it in */
export function memoryDirectory(parent: string): { path: string; close: () => void } {
  enterMountNamespace();
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
