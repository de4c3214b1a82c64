// An image of the store as the documents and blobs of an archive or layout, byte for byte as they are kept, so that its
// digests stay what they are.

import { BuildError } from '../errors.ts';
import type { FinishedImage } from '../export/finished-image.ts';
import type { Document, Packed, PackedImage } from '../export/pack.ts';
import { pack } from '../export/pack.ts';
import { configFromJson } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { digestOf } from '../image/digest.ts';
import { type Manifest, maxManifestBytes } from '../image/manifest.ts';
import { compressionOf } from '../image/media-type.ts';
import { fetchLayers, manifestsBelow, type OpenedImage } from './source.ts';
import type { ImageTools } from './tools.ts';

/** One image as what exporters take. Its layers are known to `tools.layers` afterwards, and fetched when they are read. */
export async function finishedFrom(manifest: Manifest, tools: ImageTools): Promise<FinishedImage> {
  const { text, descriptor } = await documentFrom(manifest.config, tools);
  const config = configFromJson(JSON.parse(text));
  config.diffIds.forEach((diffId, i) => {
    const blob = manifest.layers[i];
    if (blob) tools.layers.adopt(diffId, blob);
  });
  return {
    config,
    configBytes: text,
    configDigest: descriptor.digest,
    layers: config.diffIds,
    diffIds: config.diffIds,
    baseLayers: config.diffIds.length,
    platform: config.platform,
    names: [],
    annotations: manifest.annotations,
  };
}

/**
 * @param all every platform that is in the store, not only the one that was opened
 * @returns documents as they are, layers in the store
 * @throws BuildError when a layer cannot be fetched
 */
export async function packStored(image: OpenedImage, tools: ImageTools, all: boolean): Promise<Packed> {
  const root = all ? image.root : image.descriptor;
  const images: PackedImage[] = [];
  for (const { descriptor, manifest } of await manifestsBelow(root, tools)) {
    // What is attached to an image (attestations) has a config of another kind.
    if (!/image|container/.test(manifest.config.mediaType)) continue;
    await fetchLayers(manifest, tools);
    const finished = await finishedFrom(manifest, tools);
    images.push({
      image: finished,
      manifest: toDocument(await documentFrom(descriptor, tools)),
      config: toDocument(await documentFrom(manifest.config, tools)),
      layers: manifest.layers,
    });
  }
  return { images, root: toDocument(await documentFrom(root, tools)) };
}

/** For engines that read no zstd: packed anew where a layer is, as it is otherwise. */
export async function packForDocker(image: OpenedImage, tools: ImageTools): Promise<Packed> {
  if (image.manifest.layers.every(layer => compressionOf(layer.mediaType) !== 'zstd'))
    return packStored(image, tools, false);
  return packPlain(image, tools, false);
}

/** Packed anew. @param force layers that are compressed are unpacked, too */
export async function packPlain(image: OpenedImage, tools: ImageTools, force: boolean): Promise<Packed> {
  return packFinished(await finishedFrom(image.manifest, tools), tools, force);
}

/** As {@link packPlain}, for an image that was built just now. */
export function packFinished(image: FinishedImage, tools: ImageTools, force: boolean): Promise<Packed> {
  const options = {
    compression: 'uncompressed',
    forceCompression: force,
    ociMediaTypes: true,
    annotations: {},
    indexAnnotations: {},
  } as const;
  const settings = { options, defaultCompression: 'uncompressed', refuseForeignZstd: true } as const;
  return pack({ kind: 'image', image }, tools.layers, settings, tools.signal);
}

interface StoredText {
  readonly descriptor: Descriptor;
  readonly text: string;
}

async function documentFrom(descriptor: Descriptor, tools: ImageTools): Promise<StoredText> {
  if (tools.store.blobs.path(descriptor.digest) === undefined)
    await tools.source.fetch(descriptor, tools.signal);
  const text = (await tools.store.blobs.read(descriptor.digest, maxManifestBytes)).toString('utf8');
  if (descriptor.digest.startsWith('sha256:') && digestOf(text) !== descriptor.digest) {
    throw new BuildError('integrity', `the document ${descriptor.digest} is not valid UTF-8`);
  }
  return { descriptor, text };
}

function toDocument({ descriptor, text }: StoredText): Document {
  const { platform: _platform, annotations: _annotations, ...plain } = descriptor;
  return { descriptor: plain, bytes: text };
}
