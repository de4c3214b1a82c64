// Which snapshots work here: the kernel's overlay where it lets itself be mounted on the store's file system, else copies.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { inUserNamespace } from '../host/ids.ts';
import { enterMountNamespace } from '../host/namespace.ts';
import { copyingDriver } from './copying.ts';
import type { SnapshotDriver } from './driver.ts';
import { overlayDriver } from './overlay.ts';

export interface SnapshotChoice {
  readonly driver: SnapshotDriver;
  /** Why overlay was not taken; undefined when it was. */
  readonly reason?: string;
}

/**
 * Really mounts an overlay of two layers once.
 * @param dir an existing directory on the file system that snapshots will be on
 */
export async function chooseSnapshots(dir: string): Promise<SnapshotChoice> {
  const driver = overlayDriver({ userXattr: inUserNamespace() });
  try {
    enterMountNamespace();
    await tryOverlay(driver, dir);
    return { driver };
  } catch (error) {
    return { driver: copyingDriver(), reason: messageOf(error) };
  }
}

async function tryOverlay(driver: SnapshotDriver, dir: string): Promise<void> {
  const place = mkdtempSync(join(dir, 'trial-'));
  const make = (name: string) => {
    const path = join(place, name);
    mkdirSync(path);
    return path;
  };
  try {
    const lower = make('lower');
    writeFileSync(join(lower, 'file'), '');
    const snapshot = await driver.mount([lower, make('upperlayer')], make('upper'), make('scratch'));
    try {
      rmSync(join(snapshot.root, 'file'));
      mkdirSync(join(snapshot.root, 'file'));
    } finally {
      await snapshot.close();
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** What came of a kind of snapshot on this machine. */
export interface SnapshotReport {
  readonly description: string;
  readonly works: boolean;
  /** Why it does not work. */
  readonly reason?: string;
}

/** All kinds of snapshots with what came of trying them now, best first. @param dir as for {@link chooseSnapshots} */
export async function describeSnapshots(dir: string): Promise<readonly SnapshotReport[]> {
  const { reason } = await chooseSnapshots(dir);
  const overlay = { description: 'kernel overlay', works: reason === undefined };
  return [reason === undefined ? overlay : { ...overlay, reason }, { description: 'copies', works: true }];
}
