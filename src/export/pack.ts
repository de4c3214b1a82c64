// A finished image as the documents and blobs of one destination: layers packed as asked, manifest, and index when
// there are several platforms (OCI image-spec manifest.md, image-index.md; Docker schema 2).
import { type Descriptor, descriptorToJson } from '../image/descriptor.ts';
import { type Digest, digestOf } from '../image/digest.ts';
import { encodeManifest, type Index, type Manifest } from '../image/manifest.ts';
import { type Compression, compressionOf, mediaTypes } from '../image/media-type.ts';
import type { Layers, Packing } from '../layer/layers.ts';
import { nameAnnotations } from '../store/layout-index.ts';
import type { Store } from '../store/store.ts';
import { type ExportInput, type FinishedImage, imagesOf } from './finished-image.ts';
import type { ImageOptions } from './output-spec.ts';

/** A small blob made here. */
export interface Document {
  readonly descriptor: Descriptor;
  readonly bytes: string;
}

export interface PackedImage {
  readonly image: FinishedImage;
  readonly manifest: Document;
  readonly config: Document;
  /** In the store; lowest first. One blob may stand here twice. */
  readonly layers: readonly Descriptor[];
}

export interface Packed {
  readonly images: readonly PackedImage[];
  /** What a name points to: the manifest of the one image, or the index. */
  readonly root: Document;
}

export interface PackSettings {
  readonly options: ImageOptions;
  /** When the user asked for none. */
  readonly defaultCompression: Compression;
  /** Blobs that the base came with need not be fetched. */
  readonly lazy?: boolean;
  /** zstd layers of the base are packed anew unless zstd was asked for: not every reader of the format knows zstd. */
  readonly refuseForeignZstd?: boolean;
  /** For layers that have to be packed. */
  readonly tap?: Packing['tap'];
}

/** @throws BuildError from the layers; nothing is written but layer blobs, in the store */
export async function pack(
  input: ExportInput,
  layers: Layers,
  settings: PackSettings,
  signal: AbortSignal,
): Promise<Packed> {
  const images = await Promise.all(imagesOf(input).map(image => packImage(image, layers, settings, signal)));
  const [only] = images;
  if (input.kind === 'image' && only) return { images, root: only.manifest };
  return { images, root: indexOf(input, images, settings.options) };
}

async function packImage(
  image: FinishedImage,
  layers: Layers,
  settings: PackSettings,
  signal: AbortSignal,
): Promise<PackedImage> {
  const { options } = settings;
  const format = options.ociMediaTypes ? 'oci' : 'docker';
  const packing: Packing = {
    compression: options.compression ?? settings.defaultCompression,
    ...(options.level === undefined ? {} : { level: options.level }),
    force: options.forceCompression,
    format,
    ...(settings.lazy ? { lazy: true } : {}),
    ...(settings.tap ? { tap: settings.tap } : {}),
  };
  const packLayer = async (id: string): Promise<Descriptor> => {
    const blob = await layers.blob(id, packing, signal);
    const isForeign = packing.compression !== 'zstd' && compressionOf(blob.mediaType) === 'zstd';
    if (!isForeign || !settings.refuseForeignZstd) return blob;
    return layers.blob(id, { ...packing, force: true }, signal);
  };
  const blobs = await Promise.all(image.layers.map(packLayer));
  const config: Document = {
    bytes: image.configBytes,
    descriptor: {
      mediaType: options.ociMediaTypes ? mediaTypes.ociConfig : mediaTypes.dockerConfig,
      digest: image.configDigest,
      size: Buffer.byteLength(image.configBytes),
    },
  };
  const manifest: Manifest = {
    kind: 'manifest',
    mediaType: options.ociMediaTypes ? mediaTypes.ociManifest : mediaTypes.dockerManifest,
    config: config.descriptor,
    layers: blobs,
    // Docker's schema 2 has no annotations.
    annotations: options.ociMediaTypes ? sorted({ ...image.annotations, ...options.annotations }) : {},
  };
  return { image, config, layers: blobs, manifest: documentOf(manifest) };
}

function indexOf(input: ExportInput, images: readonly PackedImage[], options: ImageOptions): Document {
  const index: Index = {
    kind: 'index',
    mediaType: options.ociMediaTypes ? mediaTypes.ociIndex : mediaTypes.dockerIndex,
    manifests: images.map(({ image, manifest }) => ({ ...manifest.descriptor, platform: image.platform })),
    annotations: options.ociMediaTypes
      ? sorted({ ...(input.kind === 'index' ? input.annotations : {}), ...options.indexAnnotations })
      : {},
  };
  return documentOf(index);
}

function documentOf(value: Manifest | Index): Document {
  const bytes = encodeManifest(value);
  return {
    bytes,
    descriptor: {
      mediaType: value.mediaType,
      digest: digestOf(bytes),
      size: Buffer.byteLength(bytes),
    },
  };
}

/** The order in which annotations were given must not change the digest. */
function sorted(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Every document of the image, what is referred to before what refers; each digest once. */
export function documentsOf(packed: Packed): Document[] {
  const all = [...packed.images.flatMap(image => [image.config, image.manifest]), packed.root];
  return uniqueBy(all, document => document.descriptor.digest);
}

/** Every layer blob, each digest once. */
export function layersOf(packed: Packed): Descriptor[] {
  return uniqueBy(
    packed.images.flatMap(image => image.layers),
    layer => layer.digest,
  );
}

function uniqueBy<T>(items: readonly T[], key: (item: T) => Digest): T[] {
  return [...new Map(items.map(item => [key(item), item] as const)).values()];
}

/** Puts the documents into the store, so that the root can be named or pushed. */
export async function keepDocuments(packed: Packed, store: Store): Promise<void> {
  for (const document of documentsOf(packed)) await store.blobs.put(document.bytes);
}

/** The root's entries for index.json: one for each full name; without names one that has none. */
export function indexEntries(packed: Packed, names: readonly string[]): Record<string, unknown>[] {
  const root = packed.root.descriptor;
  if (names.length === 0) return [descriptorToJson(root)];
  return names.map(name => descriptorToJson({ ...root, annotations: nameAnnotations(name) }));
}
