// Snapshots where nothing may be mounted: the layers are copied into one directory (sharing blocks where the file system
// can), and what a step changed is found afterwards by comparison.
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { BuildError, messageOf } from '../errors.ts';
import { applyTree, removeAll, Turns } from './copy-tree.ts';
import { type Marks, markTree, moveChanges } from './differences.ts';
import type { Snapshot, SnapshotDriver } from './driver.ts';
import { likeBelow } from './overlay-format.ts';

/** Longer than a tick of any kernel's clock (10 ms with HZ=100). */
const TICK_MS = 12;

/** The driver. It needs no rights but those to own files as the layers want. */
export function copyingDriver(): SnapshotDriver {
  return { name: 'copy', mount: copySnapshot };
}

async function copySnapshot(lowers: readonly string[], upper: string, scratch: string): Promise<Snapshot> {
  const path = join(scratch, 'merged');
  mkdirSync(path, { mode: 0o700 });
  const root = Buffer.from(path);
  const turns = new Turns();
  let before: Marks;
  try {
    likeBelow(path, undefined);
    for (const lower of lowers) await applyTree(Buffer.from(lower), root, turns);
    chmodSync(path, 0o755);
    before = await markTree(root, turns);
    await nextTick(path);
  } catch (error) {
    removeAll(root);
    throw new BuildError('sandbox', `the layers cannot be copied: ${messageOf(error)}`, { cause: error });
  }
  let open = true;
  const moved = new Set<string>();
  return {
    root: path,
    movedAndBack: place => void moved.add(Buffer.from(place).toString('latin1')),
    async close() {
      if (!open) return;
      open = false;
      try {
        await moveChanges(root, before, Buffer.from(upper), moved, new Turns());
      } finally {
        removeAll(root);
      }
    },
  };
}

/** Waits until a change made now gets another time than what has been marked, however coarse the file system's clock. */
async function nextTick(dir: string): Promise<void> {
  const ctime = () => {
    chmodSync(dir, lstatSync(dir).mode & 0o7777);
    return lstatSync(dir, { bigint: true }).ctimeNs;
  };
  const start = ctime();
  do await setTimeout(TICK_MS);
  while (ctime() === start);
}
