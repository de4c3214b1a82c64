// Snapshots by the kernel's overlay file system: nothing is copied, what changes lands in the upper directory.
// Needs a mount namespace (host/namespace.ts).
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, messageOf } from '../errors.ts';
import { unmount } from '../host/mount.ts';
import { mountOverlay } from '../host/mount-overlay.ts';
import type { Snapshot, SnapshotDriver } from './driver.ts';
import { likeBelow } from './overlay-format.ts';

export interface OverlayDriverOptions {
  /** Marks are kept in user.overlay.*, for user namespaces. Default: trusted.overlay.*. */
  readonly userXattr?: boolean;
}

/** The driver; {@link enterMountNamespace} has been called before its first mount. */
export function overlayDriver(options: OverlayDriverOptions = {}): SnapshotDriver {
  return {
    name: 'overlay',
    mount: async (lowers, upper, scratch) => mountSnapshot(lowers, upper, scratch, options),
  };
}

function mountSnapshot(
  lowers: readonly string[],
  upper: string,
  scratch: string,
  options: OverlayDriverOptions,
): Snapshot {
  const root = join(scratch, 'merged');
  const work = join(scratch, 'work');
  const empty = join(scratch, 'empty');
  for (const dir of [root, work, empty]) mkdirSync(dir, { mode: 0o700 });
  likeBelow(upper, lowers.at(-1));
  const below = lowers.length === 0 ? [empty] : lowers;
  const clean = () => {
    for (const dir of [root, work, empty]) rmSync(dir, { recursive: true, force: true });
  };
  try {
    mountOverlay({ lowers: below, upper: { dir: upper, work }, target: root, scratch, ...options });
  } catch (error) {
    clean();
    if (error instanceof BuildError) throw error;
    throw new BuildError('sandbox', `the layers cannot be mounted: ${messageOf(error)}`, { cause: error });
  }
  let open = true;
  return {
    root,
    async close() {
      if (!open) return;
      unmount(root);
      open = false;
      clean();
    },
  };
}
