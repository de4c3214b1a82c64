// Makes room: forgets what was not used for longest, then collects what nothing needs any more (gc.ts). Named images and
// what living builds use are never touched.
import { statfsSync } from 'node:fs';
import { isDigest } from '../image/digest.ts';
import { collectGarbage, type GarbageReport } from './gc.ts';
import { type Holder, type Inventory, takeInventory } from './inventory.ts';
import { removeMount, type StoredMount } from './mounts.ts';
import type { Store } from './store.ts';

/** other: needed by nothing. */
export const pruneTypes = ['step', 'log', 'mount', 'untagged', 'base', 'other'] as const;
export type PruneType = (typeof pruneTypes)[number];

export interface PruneOptions {
  readonly types: ReadonlySet<PruneType>;
  /** Steps whose result is part of an image that has a name are forgotten too. Default false. */
  readonly imageSteps?: boolean;
  /** Only what was not used within this time. Default 0. */
  readonly unusedForMs?: number;
  /** Stop when cache and bases take no more than this. Absent: everything goes. */
  readonly keepBytes?: number;
  /** Stop when so much of the disk is free. */
  readonly minFreeBytes?: number;
  readonly dryRun: boolean;
  /** Wait some seconds for what was used just now. Default true. */
  readonly patient?: boolean;
  /** Milliseconds since 1970, by the clock that stamps files. */
  readonly now?: () => number;
}

export interface PrunedItem {
  readonly type: PruneType;
  readonly id: string;
  readonly description: string;
}

export interface PruneReport {
  readonly items: readonly PrunedItem[];
  readonly freedBytes: number;
  /** Not removed because it is in use. */
  readonly spared: number;
}

/** @throws BuildError `store` when something cannot be removed */
export async function prune(store: Store, options: PruneOptions): Promise<PruneReport> {
  const inventory = await takeInventory(store);
  const chosen = choose(inventory, options, store.root);
  const items = chosen.holders.map(({ type, id, description }) => ({
    type: type as PruneType,
    id,
    description,
  }));
  const asItem = ({ id, name }: StoredMount) => ({ type: 'mount' as const, id, description: name });
  if (options.dryRun) {
    const garbageBytes = collects(options) ? garbageOf(inventory) : 0;
    const freedBytes = chosen.freedBytes + garbageBytes;
    return { items: [...items, ...chosen.mounts.map(asItem)], freedBytes, spared: 0 };
  }
  const mounts = await removeMounts(chosen.mounts);
  const report = await collect(store, chosen.holders, options);
  return {
    items: [...items, ...mounts.removed.map(asItem)],
    freedBytes: report.freedBytes + mounts.freedBytes,
    spared: report.spared.length + mounts.inUse,
  };
}

/** Cache mounts are removed alone; everything else by a collection, which takes what nothing needs along. */
function collects(options: PruneOptions): boolean {
  return [...options.types].some(type => type !== 'mount');
}

function garbageOf({ holders, objects }: Inventory): number {
  const needed = new Set(holders.flatMap(holder => holder.objects));
  return [...objects].reduce((sum, [id, { bytes }]) => (needed.has(id) ? sum : sum + bytes), 0);
}

async function collect(
  store: Store,
  holders: readonly Holder[],
  options: PruneOptions,
): Promise<GarbageReport> {
  if (!collects(options)) return { removed: [], freedBytes: 0, spared: [] };
  const keys = (type: Holder['type']) =>
    new Set(holders.filter(holder => holder.type === type).map(holder => holder.id));
  return collectGarbage(store, {
    dryRun: false,
    forget: {
      records: keys('step'),
      builds: keys('log'),
      misc: keys('base'),
      untagged: new Set([...keys('untagged')].filter(isDigest)),
    },
    ...(options.patient === undefined ? {} : { patient: options.patient }),
    ...(options.now ? { now: options.now } : {}),
  });
}

interface Chosen {
  readonly holders: readonly Holder[];
  readonly mounts: readonly StoredMount[];
  /** As far as nobody uses any of it. */
  readonly freedBytes: number;
}

type Candidate =
  | { readonly kind: 'holder'; readonly lastUsedMs: number; readonly holder: Holder }
  | { readonly kind: 'mount'; readonly lastUsedMs: number; readonly mount: StoredMount };

/** The least recently used first, until what was asked for is reached. */
function choose(inventory: Inventory, options: PruneOptions, root: string): Chosen {
  const nowMs = options.now?.() ?? Date.now();
  const candidates: Candidate[] = [
    ...inventory.holders
      .filter(({ type }) => type !== 'image' && options.types.has(type))
      .filter(({ inImage }) => !inImage || options.imageSteps || options.unusedForMs)
      .map(holder => ({ kind: 'holder' as const, lastUsedMs: holder.lastUsedMs, holder })),
    ...inventory.mounts
      .filter(() => options.types.has('mount'))
      .map(mount => ({ kind: 'mount' as const, lastUsedMs: mount.lastUsedMs, mount })),
  ];
  const unused = candidates.filter(({ lastUsedMs }) => nowMs - lastUsedMs >= (options.unusedForMs ?? 0));
  unused.sort((a, b) => a.lastUsedMs - b.lastUsedMs);
  const room = new Room(inventory, options, root);
  const holders: Holder[] = [];
  const mounts: StoredMount[] = [];
  for (const candidate of unused) {
    if (room.isEnough()) break;
    if (candidate.kind === 'holder') {
      holders.push(candidate.holder);
      room.drop(candidate.holder.objects);
    } else {
      mounts.push(candidate.mount);
      room.free(candidate.mount.bytes);
    }
  }
  return { holders, mounts, freedBytes: room.freedBytes };
}

/** Counts what is freed: an object goes with the last one that needs it. */
class Room {
  readonly #inventory: Inventory;
  readonly #options: PruneOptions;
  readonly #needs = new Map<string, number>();
  #cacheBytes = 0;
  freedBytes = 0;
  #freeBytes: number;

  constructor(inventory: Inventory, options: PruneOptions, root: string) {
    this.#inventory = inventory;
    this.#options = options;
    const images = new Set<string>();
    for (const { type, objects } of inventory.holders) {
      for (const id of objects) {
        this.#needs.set(id, (this.#needs.get(id) ?? 0) + 1);
        if (type === 'image') images.add(id);
      }
    }
    const disk = statfsSync(root);
    this.#freeBytes = disk.bavail * disk.bsize;
    for (const [id, { bytes }] of inventory.objects) {
      if (!this.#needs.has(id))
        this.#freeBytes += bytes; // garbage, gone in any case
      else if (!images.has(id)) this.#cacheBytes += bytes;
    }
    for (const { bytes } of inventory.mounts) this.#cacheBytes += bytes;
  }

  isEnough(): boolean {
    const { keepBytes, minFreeBytes } = this.#options;
    if (keepBytes === undefined && minFreeBytes === undefined) return false;
    return this.#cacheBytes <= (keepBytes ?? Infinity) && this.#freeBytes >= (minFreeBytes ?? 0);
  }

  drop(objects: readonly string[]): void {
    for (const id of objects) {
      const left = (this.#needs.get(id) ?? 1) - 1;
      this.#needs.set(id, left);
      if (left === 0) this.free(this.#inventory.objects.get(id)?.bytes ?? 0);
    }
  }

  free(bytes: number): void {
    this.freedBytes += bytes;
    this.#cacheBytes -= bytes;
    this.#freeBytes += bytes;
  }
}

async function removeMounts(
  mounts: readonly StoredMount[],
): Promise<{ removed: StoredMount[]; freedBytes: number; inUse: number }> {
  const removed: StoredMount[] = [];
  for (const mount of mounts) if (await removeMount(mount)) removed.push(mount);
  const freedBytes = removed.reduce((sum, { bytes }) => sum + bytes, 0);
  return { removed, freedBytes, inUse: mounts.length - removed.length };
}

const dayMs = 86_400_000;

/** What happens by itself after a build, once a day (cli/housekeeping.ts); docs/cache.md says so. */
export const automatic = {
  /** What no build has used for so long goes. */
  unusedForMs: 30 * dayMs,
  /** The cache takes no more than this part of the disk, ... */
  diskShare: 0.2,
  /** ... but always so much, in bytes. */
  leastBytes: 10e9,
} as const;

/** What was used just now stays, nobody waits. @throws BuildError `store` */
export async function pruneAutomatically(store: Store, now: () => number = () => Date.now()): Promise<void> {
  const disk = statfsSync(store.root);
  const common = { types: new Set(pruneTypes), dryRun: false, patient: false, now };
  await prune(store, { ...common, unusedForMs: automatic.unusedForMs });
  const keepBytes = Math.max(automatic.leastBytes, automatic.diskShare * disk.blocks * disk.bsize);
  await prune(store, { ...common, keepBytes });
}
