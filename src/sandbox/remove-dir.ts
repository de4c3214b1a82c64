// Removing a directory that proot has used: it makes directories of mode 0, and newer versions of Node look into a
// directory before they remove it.
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Nobody writes there any more. @throws a system error when something cannot be removed */
export function removeDir(path: string): void {
  openUp(path);
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

function openUp(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(dir, entry.name);
    chmodSync(path, 0o700);
    openUp(path);
  }
}
