// Room that images and the build cache take, what several need counted once.
import { type HolderType, type Inventory, takeInventory } from '../store/inventory.ts';
import { createdMs, isDangling, type LocalImage, listLocalImages } from './catalog.ts';
import { chainIds } from './chain.ts';
import { layerSizes } from './sizes.ts';
import type { ImageTools } from './tools.ts';

export interface UsageRow {
  readonly type: 'Images' | 'Build Cache';
  readonly total: number;
  /** Images: those with a tag. Cache: steps whose result is part of one. */
  readonly active: number;
  /** On disk, bytes. */
  readonly bytes: number;
  /** Of that, what pruning would free. */
  readonly reclaimable: number;
}

const imageTypes: ReadonlySet<HolderType> = new Set(['image', 'untagged']);

export async function diskUsage(tools: ImageTools): Promise<UsageRow[]> {
  const images = await listLocalImages(tools.store);
  const inventory = await takeInventory(tools.store);
  const named = objectsOf(inventory, new Set(['image']));
  const ofImages = objectsOf(inventory, imageTypes);
  const steps = inventory.holders.filter(holder => !imageTypes.has(holder.type));
  const ofCache = new Set(steps.flatMap(step => step.objects).filter(id => !ofImages.has(id)));
  const size = (ids: Iterable<string>) =>
    [...ids].reduce((sum, id) => sum + (inventory.objects.get(id)?.bytes ?? 0), 0);
  const mounts = inventory.mounts.reduce((sum, mount) => sum + mount.bytes, 0);
  const cacheBytes = size(ofCache) + mounts;
  return [
    {
      type: 'Images',
      total: images.length,
      active: images.filter(image => !isDangling(image)).length,
      bytes: size(ofImages),
      reclaimable: size([...ofImages].filter(id => !named.has(id))),
    },
    {
      type: 'Build Cache',
      total: steps.length + inventory.mounts.length,
      active: steps.filter(step => step.inImage).length,
      bytes: cacheBytes,
      reclaimable: cacheBytes,
    },
  ];
}

function objectsOf(inventory: Inventory, types: ReadonlySet<HolderType>): Set<string> {
  return new Set(
    inventory.holders.filter(holder => types.has(holder.type)).flatMap(holder => holder.objects),
  );
}

export interface ImageUsage {
  readonly image: LocalImage;
  /** Bytes of files: all, in layers of other images too, in layers of its own. */
  readonly size: number;
  readonly shared: number;
  readonly unique: number;
}

/** Newest first. */
export async function imageUsage(tools: ImageTools): Promise<ImageUsage[]> {
  const images = await listLocalImages(tools.store);
  const users = new Map<string, number>();
  for (const id of images.flatMap(image => chainIds(image.config.diffIds)))
    users.set(id, (users.get(id) ?? 0) + 1);
  const rows: ImageUsage[] = [];
  for (const image of images) {
    const sizes = await layerSizes(image, tools);
    const size = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const shared = chainIds(image.config.diffIds).reduce(
      (sum, id, i) => sum + ((users.get(id) ?? 0) > 1 ? (sizes[i] ?? 0) : 0),
      0,
    );
    rows.push({ image, size, shared, unique: size - shared });
  }
  return rows.sort((a, b) => createdMs(b.image) - createdMs(a.image));
}
