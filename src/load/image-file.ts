// An image from a file or directory into the store: an OCI layout (image-layout.md), or what `docker save` writes
// (manifest.json, with or without a layout beside it), or skopeo's `dir:`. Every blob is verified on its way; nothing gets a name here.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { detectCompression } from '../archive/compression.ts';
import { BuildError, printable } from '../errors.ts';
import { configFromJson } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, type Digest, digestFromHash, hexOf } from '../image/digest.ts';
import {
  encodeManifest,
  guessMediaType,
  type Index,
  type Manifest,
  parseManifest,
} from '../image/manifest.ts';
import { layerMediaType, mediaTypes } from '../image/media-type.ts';
import { blobName } from '../store/layout-files.ts';
import type { Store } from '../store/store.ts';
import { type Container, readDocument } from './container.ts';

/** An image of a file: its manifest or index, now in the store with everything below it. */
export interface LoadedImage {
  readonly descriptor: Descriptor;
  /** Names that the file gives it; a claim, not to be trusted for resolving FROM. */
  readonly names: readonly string[];
}

/** Images above this many in one file are refused. */
const maxImages = 1000;
const maxIndexDepth = 4;

/** @throws BuildError `integrity`, `hostile`, `unsupported` */
export async function loadImages(
  container: Container,
  store: Store,
  signal: AbortSignal,
): Promise<LoadedImage[]> {
  if (container.has('index.json')) return loadLayout(container, store, signal);
  if (container.has('manifest.json')) {
    const json = parseJson(await readDocument(container, 'manifest.json'), 'manifest.json');
    return typeof json === 'object' && json !== null && 'schemaVersion' in json
      ? loadPlainDirectory(container, store, signal)
      : loadDockerArchive(json, container, store, signal);
  }
  throw new BuildError('integrity', `${container.description} holds no image`, {
    hint: 'an image file has an index.json (OCI) or a manifest.json (docker save)',
  });
}

/** Under which names a container keeps things. */
interface Naming {
  /** Manifests and indexes. */
  document(digest: Digest): string;
  blob(digest: Digest): string;
}

const layoutNaming: Naming = { document: blobName, blob: blobName };

/**
 * What `skopeo copy ... dir:` and `podman save --format docker-dir` write: manifest.json is the manifest itself, every blob
 * is called by its hex digits, and of an index the manifests have a file each.
 */
async function loadPlainDirectory(
  container: Container,
  store: Store,
  signal: AbortSignal,
): Promise<LoadedImage[]> {
  const bytes = await readDocument(container, 'manifest.json');
  const digest = digestFromHash(createHash('sha256').update(bytes).digest('hex'));
  const descriptor = { mediaType: guessMediaType(bytes), digest, size: bytes.length };
  const naming: Naming = {
    document: child => (child === digest ? 'manifest.json' : `${hexOf(child)}.manifest.json`),
    blob: hexOf,
  };
  await copyDocument(container, descriptor, store, signal, new Set(), 0, naming);
  return [{ descriptor, names: [] }];
}

async function loadLayout(container: Container, store: Store, signal: AbortSignal): Promise<LoadedImage[]> {
  const bytes = await readDocument(container, 'index.json');
  const index = parseManifest(bytes, guessMediaType(bytes));
  if (index.kind !== 'index')
    throw new BuildError('integrity', `index.json of ${container.description} is not an index`);
  if (index.manifests.length > maxImages)
    throw new BuildError('hostile', `${container.description} lists more than ${maxImages} images`);
  const images: LoadedImage[] = [];
  const copied = new Set<string>();
  for (const descriptor of index.manifests) {
    await copyDocument(container, descriptor, store, signal, copied, 0);
    const { annotations = {} } = descriptor;
    const name = annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
    images.push({ descriptor, names: name === undefined ? [] : [name] });
  }
  return images;
}

/**
 * A manifest or index and all it reaches.
 * @param copied what was copied already: indexes that name each other many times are many more than files
 */
async function copyDocument(
  container: Container,
  descriptor: Descriptor,
  store: Store,
  signal: AbortSignal,
  copied: Set<string>,
  depth: number,
  naming = layoutNaming,
): Promise<void> {
  if (depth > maxIndexDepth)
    throw new BuildError('hostile', `${container.description} nests indexes too deeply`);
  const { digest, size, mediaType } = descriptor;
  const key = `${digest} ${size} ${mediaType}`;
  if (copied.has(key)) return;
  copied.add(key);
  const bytes = await readDocument(container, naming.document(descriptor.digest));
  checkBytes(bytes, descriptor);
  const document: Manifest | Index = parseManifest(bytes, descriptor.mediaType);
  if (document.kind === 'index') {
    for (const child of document.manifests) {
      // A layout may hold some platforms of an index only.
      if (container.has(naming.document(child.digest)))
        await copyDocument(container, child, store, signal, copied, depth + 1, naming);
    }
  } else {
    for (const blob of [document.config, ...document.layers])
      await copyBlob(container, naming.blob(blob.digest), blob, store, signal);
  }
  await store.blobs.put(bytes);
}

function checkBytes(bytes: Buffer, descriptor: Descriptor): void {
  const algorithm = algorithmOf(descriptor.digest);
  const found = digestFromHash(createHash(algorithm).update(bytes).digest('hex'), algorithm);
  if (found !== descriptor.digest || bytes.length !== descriptor.size)
    throw mismatch(descriptor, found, bytes.length);
}

function mismatch(descriptor: Descriptor, found: Digest, size: number): BuildError {
  return new BuildError('integrity', `the blob ${descriptor.digest} is damaged: its content does not match`, {
    facts: { expected: descriptor.digest, found, expectedSize: descriptor.size, size },
  });
}

async function copyBlob(
  container: Container,
  name: string,
  descriptor: Descriptor,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  if (store.blobs.path(descriptor.digest)) return;
  if (!container.has(name)) {
    throw new BuildError('integrity', `${container.description} lacks the blob ${descriptor.digest}`);
  }
  const size = container.size(name);
  if (size !== descriptor.size) throw mismatch(descriptor, descriptor.digest, size ?? 0);
  await ingest(container, name, store, signal, descriptor);
}

/** Streams a member into the store under the digest it turns out to have. */
async function ingest(
  container: Container,
  name: string,
  store: Store,
  signal: AbortSignal,
  expected?: Descriptor,
): Promise<{ digest: Digest; size: number; head: Buffer }> {
  const algorithm = expected ? algorithmOf(expected.digest) : 'sha256';
  await using target = await store.blobs.ingest();
  const hash = createHash(algorithm);
  let size = 0;
  let head = Buffer.alloc(0);
  await pipeline(
    container.stream(name),
    async function* (source) {
      for await (const chunk of source) {
        hash.update(chunk);
        size += chunk.length;
        if (head.length < 512) head = Buffer.concat([head, chunk.subarray(0, 512 - head.length)]);
        yield chunk;
      }
    },
    createWriteStream(target.path),
    { signal },
  );
  const digest = digestFromHash(hash.digest('hex'), algorithm);
  if (expected && digest !== expected.digest) throw mismatch(expected, digest, size);
  await target.commit(digest);
  return { digest, size, head };
}

interface ArchiveItem {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly string[];
}

async function loadDockerArchive(
  json: unknown,
  container: Container,
  store: Store,
  signal: AbortSignal,
): Promise<LoadedImage[]> {
  const items = archiveItems(json, container.description);
  const images: LoadedImage[] = [];
  for (const item of items) {
    const configBytes = await readDocument(container, item.config);
    const config = configFromJson(parseJson(configBytes, item.config));
    const named = /([0-9a-f]{64})(?:\.json)?$/.exec(basename(item.config))?.[1];
    const configDigest = digestFromHash(createHash('sha256').update(configBytes).digest('hex'));
    if (named && hexOf(configDigest) !== named) {
      throw new BuildError(
        'integrity',
        `${printable(item.config)} in ${container.description} does not match its name`,
      );
    }
    if (config.diffIds.length !== item.layers.length) {
      throw new BuildError(
        'integrity',
        `${container.description} lists ${item.layers.length} layers, its config ${config.diffIds.length}`,
      );
    }
    const layers: Descriptor[] = [];
    for (const name of item.layers) {
      const { digest, size, head } = await ingest(container, name, store, signal);
      const packing = detectCompression(head);
      const compression = packing === 'gzip' || packing === 'zstd' ? packing : 'uncompressed';
      layers.push({ mediaType: layerMediaType(compression, 'oci'), digest, size });
    }
    await store.blobs.put(configBytes);
    images.push({
      descriptor: await putManifest(store, configDigest, configBytes.length, layers),
      names: item.names,
    });
  }
  return images;
}

async function putManifest(
  store: Store,
  digest: Digest,
  size: number,
  layers: Descriptor[],
): Promise<Descriptor> {
  const text = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest, size },
    layers,
    annotations: {},
  });
  return {
    mediaType: mediaTypes.ociManifest,
    digest: await store.blobs.put(text),
    size: Buffer.byteLength(text),
  };
}

function archiveItems(json: unknown, where: string): ArchiveItem[] {
  if (!Array.isArray(json) || json.length === 0)
    throw new BuildError('integrity', `manifest.json of ${where} lists no image`);
  if (json.length > maxImages)
    throw new BuildError('hostile', `${where} lists more than ${maxImages} images`);
  return json.map(item => {
    const { Config, Layers, RepoTags } = (item ?? {}) as Record<string, unknown>;
    const texts = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every(x => typeof x === 'string');
    if (typeof Config !== 'string' || !texts(Layers)) {
      throw new BuildError('integrity', `manifest.json of ${where} is not what docker save writes`);
    }
    return { config: Config, layers: Layers, names: texts(RepoTags) ? RepoTags : [] };
  });
}

function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BuildError('integrity', `${printable(name)} is not valid JSON`, { cause });
  }
}
