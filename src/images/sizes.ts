// How large images are, as docker counts it: the bytes of all files in all layers, a symlink being as large as its
// target's name. Known once, remembered.
import type { Descriptor } from '../image/descriptor.ts';
import type { DiffId } from '../image/digest.ts';
import type { LayerEntry } from '../tree/entry.ts';
import type { ImageTools } from './tools.ts';

/** One for each layer, in bytes. A layer that was never fetched counts as the size of its blob. */
export function layerSizes(
  image: {
    readonly manifest: { readonly layers: readonly Descriptor[] };
    readonly config: { readonly diffIds: readonly DiffId[] };
  },
  tools: ImageTools,
): Promise<number[]> {
  return Promise.all(
    image.config.diffIds.map((diffId, i) => layerSize(diffId, image.manifest.layers[i], tools)),
  );
}

export async function imageSize(image: Parameters<typeof layerSizes>[0], tools: ImageTools): Promise<number> {
  return (await layerSizes(image, tools)).reduce((sum, size) => sum + size, 0);
}

async function layerSize(diffId: DiffId, blob: Descriptor | undefined, tools: ImageTools): Promise<number> {
  const { store, layers, signal } = tools;
  const key = `bytes ${diffId}`;
  const known = store.meta.get('misc', key);
  if (typeof known === 'number') return known;
  const isHere =
    store.blobs.path(diffId) !== undefined ||
    (blob !== undefined && store.blobs.path(blob.digest) !== undefined);
  if (!isHere) return blob?.size ?? 0;
  if (blob) layers.adopt(diffId, blob);
  const { entries } = await layers.index(diffId, signal, 'names');
  const size = entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
  store.meta.set('misc', key, size);
  return size;
}

function bytesOf(entry: LayerEntry): number {
  return entry.type === 'file' ? entry.size : entry.type === 'symlink' ? (entry.linkTarget ?? '').length : 0;
}
