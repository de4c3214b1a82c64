// Removes what nothing needs any more (reach.ts says what is needed).
//
// Builds that run meanwhile lose nothing. Using a blob or tree gives it the present time (usage.ts), and what was used
// within the last seconds, or since a living process began to write to the store, stays. Between the last look at that
// time and the removal lie microseconds.
import { readdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from '../errors.ts';
import { removeTree } from '../host/temp.ts';
import { type Digest, digestFromHash, isDigest } from '../image/digest.ts';
import { storing } from './failure.ts';
import { Reached } from './reach.ts';
import { liveSessions } from './session.ts';
import { removeIdleLocks } from './step-locks.ts';
import type { Store } from './store.ts';
import { diskBytes } from './usage.ts';

export interface GarbageOptions {
  /** Nothing is removed; the report says what would be. */
  readonly dryRun: boolean;
  /** Records of steps that ended longer ago are forgotten, with what only they need. Absent: none; 0: all. */
  readonly recordsOlderThanMs?: number;
  /** Base images that no name stands for go too. Default false. */
  readonly bases?: boolean;
  /** These are forgotten as well, with what only they need. */
  readonly forget?: Forgotten;
  /** Milliseconds since 1970, by the clock that stamps files. */
  readonly now?: () => number;
  /** How long ago something must have been used to be taken for unused. Default 5000. */
  readonly useWindowMs?: number;
  /** false: what was used just now stays, nobody waits until that was some time ago. Default true. */
  readonly patient?: boolean;
}

/** Keys of the database. */
export interface Forgotten {
  readonly records?: ReadonlySet<string>;
  readonly builds?: ReadonlySet<string>;
  readonly misc?: ReadonlySet<string>;
  /** Images without a name. */
  readonly untagged?: ReadonlySet<Digest>;
}

export interface Garbage {
  readonly kind: 'blob' | 'tree' | 'index' | 'record';
  /** Digest, tree id, file name or cache key. */
  readonly id: string;
  /** On disk. */
  readonly bytes: number;
}

export interface GarbageReport {
  readonly removed: readonly Garbage[];
  readonly freedBytes: number;
  /** Needed by nothing that is kept, but in use just now. */
  readonly spared: readonly Garbage[];
}

/** Something on disk that nothing reaches. */
interface Candidate extends Garbage {
  readonly path: string;
}

/**
 * May take as long as `useWindowMs` when something was used just now.
 * @throws BuildError `store` when something cannot be removed
 */
export async function collectGarbage(store: Store, options: GarbageOptions): Promise<GarbageReport> {
  const now = options.now ?? (() => Date.now());
  const useWindowMs = options.useWindowMs ?? 5000;
  const records = forgottenRecords(store, options, now());
  const none = new Set<never>();
  const { builds = none, misc = none, untagged = none } = options.forget ?? {};
  const forgotten = new Set<string>([...records.map(record => record.id), ...builds, ...misc, ...untagged]);
  const roots = { forgotten, bases: !options.bases };
  const sessions = liveSessions(store.root, undefined);
  const reached = await Reached.from(store, roots);
  const candidates = [...unreachedIn(store, reached)];
  const waits = !options.dryRun && options.patient !== false;
  if (waits && candidates.some(item => isUsedSince(item, now() - useWindowMs))) await sleep(useWindowMs);
  const since = Math.min(now() - useWindowMs, ...sessions.map(session => session.sinceMs - useWindowMs));
  const removed: Garbage[] = [...records];
  const spared: Garbage[] = [];
  for (const item of candidates) {
    const { path: _, ...garbage } = item;
    if (isUsedSince(item, since)) spared.push(garbage);
    else {
      if (!options.dryRun) await removeItem(item, store);
      removed.push(garbage);
    }
  }
  if (!options.dryRun) {
    // After the files, so that there is room for it on a full disk. A record without its layer is a miss meanwhile.
    for (const { id } of records) store.meta.delete('records', id);
    for (const id of builds) store.meta.delete('builds', id);
    for (const id of misc) store.meta.delete('misc', id);
    for (const digest of untagged) await store.names.drop(digest);
    await forgetFacts(store, removed, reached);
    removeIdleLocks(store.root);
  }
  return { removed, spared, freedBytes: removed.reduce((sum, item) => sum + item.bytes, 0) };
}

/** With the aliases that lead to nothing any more. */
function forgottenRecords(
  store: Store,
  { recordsOlderThanMs: olderThanMs, forget }: GarbageOptions,
  nowMs: number,
): Garbage[] {
  if (olderThanMs === undefined && !forget?.records) return [];
  const found: Garbage[] = [];
  const kept = new Set<string>();
  const aliases: [string, string][] = [];
  for (const [key, value] of store.meta.entries('records')) {
    const { createdAt, alias } = (value ?? {}) as { createdAt?: unknown; alias?: unknown };
    const isOld = olderThanMs !== undefined && !(nowMs - Date.parse(String(createdAt)) < olderThanMs);
    if (typeof alias === 'string') aliases.push([key, alias]);
    else if (isOld || forget?.records?.has(key)) found.push({ kind: 'record', id: key, bytes: 0 });
    else kept.add(key);
  }
  for (const [key, target] of aliases) {
    if (!kept.has(target)) found.push({ kind: 'record', id: key, bytes: 0 });
  }
  return found;
}

function* unreachedIn(store: Store, reached: Reached): Iterable<Candidate> {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    for (const name of namesIn(join(store.root, 'blobs', algorithm))) {
      const path = join(store.root, 'blobs', algorithm, name);
      const id = `${algorithm}:${name}`;
      if (isDigest(id) && !reached.blobs.has(id)) yield { kind: 'blob', id, path, bytes: diskBytes(path) };
    }
  }
  for (const id of namesIn(join(store.root, 'trees'))) {
    const path = join(store.root, 'trees', id);
    if (!reached.trees.has(id)) yield { kind: 'tree', id, path, bytes: diskBytes(path) };
  }
  for (const id of namesIn(join(store.root, 'layers'))) {
    const path = join(store.root, 'layers', id);
    const layer = id.replace(/\.[a-z]+$/, '');
    if (!reached.trees.has(layer)) yield { kind: 'index', id, path, bytes: diskBytes(path) };
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function isUsedSince(item: Candidate, sinceMs: number): boolean {
  const stat = statSync(item.path, { throwIfNoEntry: false });
  return stat !== undefined && stat.mtimeMs >= sinceMs;
}

async function removeItem(item: Candidate, store: Store): Promise<void> {
  switch (item.kind) {
    case 'blob':
      return store.blobs.remove(item.id as Digest);
    case 'tree':
      return store.trees.remove(item.id).catch(() => {
        // Moving it aside first takes room that a full disk does not have.
        return storing('removing a tree', item.path, () => removeTree(item.path));
      });
    default:
      return storing('removing an index', item.path, () => rm(item.path, { force: true }));
  }
}

/** What is known about layers and blobs that are gone; facts about blobs that can be fetched again are no use without a root. */
async function forgetFacts(store: Store, removed: readonly Garbage[], reached: Reached): Promise<void> {
  for (const { kind, id } of removed) {
    if (kind === 'tree') {
      store.meta.delete('layers', `tree:${id}`);
      if (/^[0-9a-f]{64}$/.test(id)) forgetDigest(store, digestFromHash(id), reached);
    }
    if (kind === 'blob') forgetDigest(store, id as Digest, reached);
  }
  await store.meta.flush();
}

function forgetDigest(store: Store, digest: Digest, reached: Reached): void {
  if (reached.blobs.has(digest)) return;
  store.meta.delete('layers', digest);
  store.meta.delete('origins', digest);
}
