// An image of the store for a registry: layers that were kept as plain tars are packed; everything else stays as it is.
// The config, and with it the image id, does not change; the manifest does.
import type { Descriptor } from '../image/descriptor.ts';
import { encodeManifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { type Compression, compressionOf } from '../image/media-type.ts';
import { hostPlatform } from '../image/platform.ts';
import type { Layers } from '../layer/layers.ts';
import { readImage } from '../store/images.ts';
import type { Store } from '../store/store.ts';

/** @returns the manifest (or index, unchanged) to push, in the store */
export async function repackForRegistry(
  descriptor: Descriptor,
  store: Store,
  layers: Layers,
  signal: AbortSignal,
  compression: Compression = 'gzip',
): Promise<Descriptor> {
  const bytes = await store.blobs.read(descriptor.digest, maxManifestBytes);
  if (parseManifest(bytes, descriptor.mediaType).kind === 'index') return descriptor;
  const { manifest, config } = await readImage(store, descriptor, hostPlatform());
  if (manifest.layers.every(layer => compressionOf(layer.mediaType) !== 'uncompressed')) return descriptor;
  const format = manifest.mediaType.includes('docker') ? 'docker' : 'oci';
  const packed = await Promise.all(
    manifest.layers.map(async (layer, i) => {
      const diffId = config.diffIds[i];
      if (diffId === undefined || compressionOf(layer.mediaType) !== 'uncompressed') return layer;
      layers.adopt(diffId, layer);
      return layers.blob(diffId, { compression, format, force: true }, signal);
    }),
  );
  const text = encodeManifest({ ...manifest, layers: packed });
  const digest = await store.blobs.put(text);
  return { mediaType: manifest.mediaType, digest, size: Buffer.byteLength(text) };
}
