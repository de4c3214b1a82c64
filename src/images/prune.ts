// Removing images that nobody named, or all of them, as `docker image prune` does it.
import { familiarReference, parseReference } from '../image/reference.ts';
import { collectGarbage } from '../store/gc.ts';
import type { Store } from '../store/store.ts';
import { createdMs, isDangling, type LocalImage, listLocalImages } from './catalog.ts';
import type { LabelTest } from './filter.ts';
import { forget, type Removal } from './remove.ts';

export interface PruneOptions {
  /** Images with names too. */
  readonly all: boolean;
  /** Only images created before; milliseconds since 1970. */
  readonly createdBeforeMs?: number;
  /** All must hold. */
  readonly labels: readonly LabelTest[];
  /** See GarbageOptions. */
  readonly useWindowMs?: number;
}

export interface Pruned {
  readonly removals: readonly Removal[];
  /** On disk. What the build cache needs stays there. */
  readonly freedBytes: number;
}

/** May take some seconds when something was used just now. */
export async function pruneImages(store: Store, options: PruneOptions): Promise<Pruned> {
  const images = await listLocalImages(store);
  const removals: Removal[] = [];
  let left: readonly LocalImage[] = images;
  for (const image of images) {
    if (!isPruned(image, options)) continue;
    for (const { name } of image.names) {
      await store.names.delete(name);
      removals.push({ kind: 'untagged', name: familiarReference(parseReference(name)) });
    }
    removals.push(...(await forget(store, image, left)));
    left = left.filter(other => other.id !== image.id);
  }
  const { freedBytes } = await collectGarbage(store, {
    dryRun: false,
    ...(options.useWindowMs === undefined ? {} : { useWindowMs: options.useWindowMs }),
  });
  return { removals, freedBytes };
}

function isPruned(image: LocalImage, options: PruneOptions): boolean {
  if (!options.all && !isDangling(image)) return false;
  if (options.createdBeforeMs !== undefined && createdMs(image) >= options.createdBeforeMs) return false;
  return options.labels.every(test => test(image.config.config.Labels ?? {}));
}
