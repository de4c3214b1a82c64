// Which snapshots work here: the kernel's overlay where it lets itself be mounted on the store's file system, else
// fuse-overlayfs, else copies.
import { lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, messageOf } from '../errors.ts';
import { inUserNamespace } from '../host/ids.ts';
import { enterMountNamespace } from '../host/namespace.ts';
import { copyingDriver } from './copying.ts';
import type { SnapshotDriver } from './driver.ts';
import { fuseOverlayDriver } from './fuse-overlay.ts';
import { overlayDriver } from './overlay.ts';
import { isOpaque, isWhiteout } from './overlay-format.ts';

interface Kind {
  readonly description: string;
  readonly driver: SnapshotDriver;
}

/** What mounts, best first. */
function mountingKinds(): readonly Kind[] {
  return [
    { description: 'kernel overlay', driver: overlayDriver({ userXattr: inUserNamespace() }) },
    { description: 'fuse-overlayfs', driver: fuseOverlayDriver() },
  ];
}

/**
 * The best driver that works; each is really tried with two layers.
 * @param dir an existing directory on the file system that snapshots will be on
 */
export async function chooseSnapshots(dir: string): Promise<SnapshotDriver> {
  for (const { driver } of mountingKinds()) {
    if ((await whyNot(driver, dir)) === undefined) return driver;
  }
  return copyingDriver();
}

/** @returns undefined when the driver works */
async function whyNot(driver: SnapshotDriver, dir: string): Promise<string | undefined> {
  try {
    enterMountNamespace();
    await tryMounting(driver, dir);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function tryMounting(driver: SnapshotDriver, dir: string): Promise<void> {
  const place = mkdtempSync(join(dir, 'trial-'));
  const make = (name: string) => {
    const path = join(place, name);
    mkdirSync(path);
    return path;
  };
  try {
    const lower = make('lower');
    for (const name of ['gone', 'anew']) mkdirSync(join(lower, name));
    writeFileSync(join(lower, 'anew/file'), '');
    const upper = make('upper');
    const snapshot = await driver.mount([lower, make('upperlayer')], upper, make('scratch'));
    try {
      for (const name of ['gone', 'anew']) rmSync(join(snapshot.root, name), { recursive: true });
      mkdirSync(join(snapshot.root, 'anew'));
    } finally {
      await snapshot.close();
    }
    const marked = isWhiteout(lstatSync(join(upper, 'gone'))) && isOpaque(Buffer.from(join(upper, 'anew')));
    if (!marked) throw new BuildError('sandbox', 'what is removed leaves no mark');
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
  const reports: SnapshotReport[] = [];
  for (const { description, driver } of mountingKinds()) {
    const reason = await whyNot(driver, dir);
    reports.push({ description, works: reason === undefined, ...(reason === undefined ? {} : { reason }) });
  }
  return [...reports, { description: 'copies', works: true }];
}
