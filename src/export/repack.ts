// An image of the store for a registry: layers that were kept as plain tars are packed; everything else stays as it is.
// Configs, and with them image ids, do not change; manifests, and the index above them, do.
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import {
  encodeManifest,
  type Index,
  type Manifest,
  maxManifestBytes,
  parseManifest,
} from '../image/manifest.ts';
import { type Compression, compressionOf } from '../image/media-type.ts';
import { hostPlatform } from '../image/platform.ts';
import type { Layers, Packing } from '../layer/layers.ts';
import { readImage } from '../store/images.ts';
import type { Store } from '../store/store.ts';

export interface RepackOptions {
  /** Default gzip. */
  readonly compression?: Compression;
  /** Is given layers while they are packed. */
  readonly tap?: Packing['tap'];
}

/** @returns the manifest or index to push, in the store; `descriptor` itself when nothing had to be packed */
export async function repackForRegistry(
  descriptor: Descriptor,
  store: Store,
  layers: Layers,
  signal: AbortSignal,
  options: RepackOptions = {},
  done = new Map<Digest, Descriptor>(),
): Promise<Descriptor> {
  const bytes = await store.blobs.read(descriptor.digest, maxManifestBytes);
  const document = parseManifest(bytes, descriptor.mediaType);
  if (document.kind === 'manifest') return repackImage(descriptor, store, layers, signal, options);
  const manifests: Descriptor[] = [];
  for (const child of document.manifests) {
    const isHere = store.blobs.path(child.digest) !== undefined;
    const { digest, size } =
      done.get(child.digest) ??
      (isHere ? await repackForRegistry(child, store, layers, signal, options, done) : child);
    done.set(child.digest, { ...child, digest, size });
    manifests.push({ ...child, digest, size });
  }
  if (manifests.every((child, i) => child.digest === document.manifests[i]?.digest)) return descriptor;
  return put(descriptor, { ...document, manifests }, store);
}

async function repackImage(
  descriptor: Descriptor,
  store: Store,
  layers: Layers,
  signal: AbortSignal,
  { compression = 'gzip', tap }: RepackOptions,
): Promise<Descriptor> {
  const { manifest, config } = await readImage(store, descriptor, hostPlatform());
  if (manifest.layers.every(layer => compressionOf(layer.mediaType) !== 'uncompressed')) return descriptor;
  const format = manifest.mediaType.includes('docker') ? 'docker' : 'oci';
  const packing: Packing = { compression, format, force: true, ...(tap ? { tap } : {}) };
  const packed = await Promise.all(
    manifest.layers.map(async (layer, i) => {
      const diffId = config.diffIds[i];
      if (diffId === undefined || compressionOf(layer.mediaType) !== 'uncompressed') return layer;
      layers.adopt(diffId, layer);
      return layers.blob(diffId, packing, signal);
    }),
  );
  return put(descriptor, { ...manifest, layers: packed }, store);
}

/** Platform and annotations of the old descriptor are the new one's too. */
async function put(old: Descriptor, document: Manifest | Index, store: Store): Promise<Descriptor> {
  const text = encodeManifest(document);
  return { ...old, digest: await store.blobs.put(text), size: Buffer.byteLength(text) };
}
