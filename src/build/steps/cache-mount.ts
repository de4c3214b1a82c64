// Directories of RUN --mount=type=cache, kept in the store between builds: `mounts/<hash of the id>/<slot>/fs`. The id is
// hashed, so that nothing in it can name another directory (CVE-2024-9675).
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../errors.ts';
import { canGiveOwners } from '../../host/ids.ts';
import { type Lock, tryLock, waitForLock } from '../../host/lock.ts';
import { runProgram, type WatchProgram } from '../../host/process.ts';
import { removeTree, temporaryName } from '../../host/temp.ts';
import { digestOf, hexOf } from '../../image/digest.ts';
import type { MountSpec } from '../../plan/steps.ts';
import { emptySlot } from '../../store/mounts.ts';
import type { Store } from '../../store/store.ts';

export type CacheSpec = Extract<MountSpec, { type: 'cache' }>;

export interface CacheMount {
  readonly path: string;
  close(): void;
}

/** The slots that a build with --no-cache-mounts has emptied: each once, then its steps share them as always. */
export type EmptiedSlots = Map<string, Promise<void>>;

export interface CacheMountOptions {
  /** Gives a directory whose content a fresh cache starts with. */
  readonly seed?: () => Promise<{ source: string }>;
  /** What earlier builds left is thrown away; the build's own memory of having done so. */
  readonly emptied?: EmptiedSlots;
  /** Nobody else may have it meanwhile, whatever its sharing says. Default false. */
  readonly alone?: boolean;
  /** For what fills it from its source. */
  readonly watch?: WatchProgram;
  /** Fills the cache from elsewhere if it is to be, unless it begins empty. */
  readonly arrive?: (id: string, signal: AbortSignal) => Promise<void>;
}

const strength = { locked: 0, shared: 1, private: 2 } as const;

/**
 * The cache mounts of a step in the order in which their locks are to be taken: the same for all steps, so that no two
 * wait for each other; of one id the strictest first, so that a step does not wait for itself.
 */
export function inOneOrder(mounts: readonly MountSpec[]): readonly CacheSpec[] {
  return mounts
    .filter(mount => mount.type === 'cache')
    .sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : strength[a.sharing] - strength[b.sharing]));
}

/** @throws BuildError `interrupted` while waiting for a locked one */
export async function openCacheMount(
  store: Store,
  mount: CacheSpec,
  signal: AbortSignal,
  { seed, emptied, arrive, alone, watch }: CacheMountOptions = {},
): Promise<CacheMount> {
  const home = join(store.root, 'mounts', hexOf(digestOf(mount.id)));
  mkdirSync(home, { recursive: true, mode: 0o700 });
  if (!existsSync(join(home, 'id'))) writeFileSync(join(home, 'id'), mount.id, { mode: 0o600 });
  if (emptied === undefined) await arrive?.(mount.id, signal);
  const sharing = mount.sharing === 'shared' && alone ? 'locked' : mount.sharing;
  const { dir, lock } = await takeSlot(home, sharing, signal, emptied);
  try {
    await prepare(home, dir, mount, signal, seed, watch);
    writeFileSync(join(dir, 'sharing'), mount.sharing, { mode: 0o600 });
    utimesSync(dir, new Date(), new Date()); // when it was last used, for prune
  } catch (error) {
    lock.release();
    throw error;
  }
  return { path: join(dir, 'fs'), close: () => lock.release() };
}

/** shared: everybody the first; locked: the first, alone, waiting for it; private: the first that is free. */
async function takeSlot(
  home: string,
  sharing: CacheSpec['sharing'],
  signal: AbortSignal,
  emptied: EmptiedSlots | undefined,
): Promise<{ dir: string; lock: Lock }> {
  const slot = (n: number) => {
    const dir = join(home, String(n));
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return dir;
  };
  const first = slot(0);
  switch (sharing) {
    case 'shared':
      await emptyOnce(first, emptied, async () => {
        using _lock = await waitForLock(first, 'exclusive', signal);
        await emptySlot(first);
      });
      return { dir: first, lock: await waitForLock(first, 'shared', signal) };
    case 'locked':
      return emptyLocked(first, await waitForLock(first, 'exclusive', signal), emptied);
    case 'private':
      for (let n = 0; ; n++) {
        const dir = slot(n);
        const lock = tryLock(dir, 'exclusive');
        if (lock) return emptyLocked(dir, lock, emptied);
      }
  }
}

async function emptyLocked(
  dir: string,
  lock: Lock,
  emptied: EmptiedSlots | undefined,
): Promise<{ dir: string; lock: Lock }> {
  try {
    await emptyOnce(dir, emptied, () => emptySlot(dir));
    return { dir, lock };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Of several steps that come at once, one empties and the others wait for it. */
async function emptyOnce(
  dir: string,
  emptied: EmptiedSlots | undefined,
  empty: () => Promise<void>,
): Promise<void> {
  if (emptied === undefined) return;
  const begun = emptied.get(dir) ?? empty();
  emptied.set(dir, begun);
  await begun;
}

/** Makes the directory, complete or not at all; two that come at once make it once. */
async function prepare(
  home: string,
  dir: string,
  mount: CacheSpec,
  signal: AbortSignal,
  seed: (() => Promise<{ source: string }>) | undefined,
  watch: WatchProgram | undefined,
): Promise<void> {
  const fs = join(dir, 'fs');
  if (existsSync(fs)) return;
  using _lock = await waitForLock(home, 'exclusive', signal);
  if (existsSync(fs)) return;
  const fresh = join(dir, temporaryName('fresh-'));
  try {
    if (seed) await fill(fresh, mount, await seed(), { signal, ...(watch ? { watch } : {}) });
    else makeEmpty(fresh, mount);
    renameSync(fresh, fs);
  } finally {
    await removeTree(fresh);
  }
}

function makeEmpty(path: string, mount: CacheSpec): void {
  mkdirSync(path, { mode: 0o700 });
  if (canGiveOwners()) chownSync(path, mount.uid, mount.gid);
  chmodSync(path, mount.mode);
}

async function fill(
  path: string,
  mount: CacheSpec,
  { source }: { source: string },
  options: { readonly signal: AbortSignal; readonly watch?: WatchProgram },
): Promise<void> {
  const result = await runProgram(['cp', '-a', '--', join(source, '.'), path], options);
  if (result.status === 0) return;
  throw new BuildError('store', `the cache mount "${mount.id}" could not be filled from its source`);
}
