// Which ways to make a snapshot work here, found by really mounting one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { enterMountNamespace } from '../host/namespace.ts';
import { overlayDriver } from './overlay.ts';

export interface DriverReport {
  readonly description: string;
  readonly works: boolean;
  /** Why not, one sentence. */
  readonly reason?: string;
}

/** @param dir a private directory on the store's file system */
export async function describeSnapshots(dir: string): Promise<readonly DriverReport[]> {
  const description = 'kernel overlay';
  const trial = mkdtempSync(join(dir, 'trial-'));
  try {
    for (const name of ['lower', 'upper']) mkdirSync(join(trial, name));
    enterMountNamespace();
    const snapshot = await overlayDriver().mount([join(trial, 'lower')], join(trial, 'upper'), trial);
    await snapshot.close();
    return [{ description, works: true }];
  } catch (error) {
    return [{ description, works: false, reason: messageOf(error) }];
  } finally {
    rmSync(trial, { recursive: true, force: true });
  }
}
