// Removing a directory that proot has used: it makes directories of mode 0, and newer versions of Node look into a
// directory before they remove it.
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Nobody writes there any more. Files, too, and what is not there. @throws a system error when something cannot be removed */
export function removeDir(path: string): void {
  openUp(path);
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** What cannot be opened may be removed nevertheless, and the rest beside it is: who removes it says what is in the way. */
function openUp(dir: string): void {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.isDirectory()) openChild(join(dir, entry.name));
    }
  } catch {
    // No directory, or none that may be read.
  }
}

function openChild(path: string): void {
  try {
    chmodSync(path, 0o700);
  } catch {
    // Somebody else's.
  }
  openUp(path);
}
