// Where runs keep what they need meanwhile: a file system in memory, in slipway's own mount namespace, so that it is
// invisible to others and gone with the process however that ends.
import { lstatSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { mountTmpfs } from '../host/mount.ts';
import { enterMountNamespace } from '../host/namespace.ts';

const place = '/run/slipway';
let root: string | undefined;

/**
 * A new directory for one run, mode 0700. It is the caller's to remove.
 * @throws BuildError `sandbox` where no mount namespace can be had
 */
export function makeRunDirectory(): string {
  enterMountNamespace();
  root ??= mountPrivately();
  return mkdtempSync(join(root, `slipway-run-${process.pid}-`));
}

/** /run/slipway itself is an empty directory that stays; where it cannot be made, the usual temporary directory serves. */
function mountPrivately(): string {
  try {
    mkdirSync(place, { recursive: true, mode: 0o700 });
    const stat = lstatSync(place);
    if (!stat.isDirectory() || stat.uid !== process.getuid?.()) return tmpdir();
    mountTmpfs(place, { mode: 0o700, nosuid: true, nodev: true });
    return place;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return tmpdir();
  }
}
