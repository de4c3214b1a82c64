// Images in the store: from a name's descriptor to manifest and config.
import { BuildError } from '../errors.ts';
import { configFromJson, type ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { formatPlatform, type Platform, platformDistance } from '../image/platform.ts';
import type { Store } from './store.ts';

export interface StoredImage {
  /** Of the manifest (of the platform's one, when the name stands for an index). */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
}

const maxDepth = 4;

/**
 * Reads an image whose manifest and config are in the store; layers may be elsewhere.
 * @throws BuildError `not-found` when the manifest is not here or the index has nothing for the platform
 */
export async function readImage(
  store: Store,
  descriptor: Descriptor,
  platform: Platform,
  depth = 0,
): Promise<StoredImage> {
  const document = parseManifest(
    await store.blobs.read(descriptor.digest, maxManifestBytes),
    descriptor.mediaType,
  );
  if (document.kind === 'index') {
    if (depth >= maxDepth) throw new BuildError('integrity', 'an image index is nested too deeply');
    return readImage(store, bestMatch(document.manifests, platform), platform, depth + 1);
  }
  const bytes = await store.blobs.read(document.config.digest, maxManifestBytes);
  const config = configFromJson(parseJson(bytes));
  if (config.diffIds.length !== document.layers.length) {
    throw new BuildError(
      'integrity',
      `an image has ${document.layers.length} layers, its config names ${config.diffIds.length}`,
      { facts: { manifest: descriptor.digest } },
    );
  }
  return { descriptor, manifest: document, config };
}

function bestMatch(manifests: readonly Descriptor[], platform: Platform): Descriptor {
  let best: { descriptor: Descriptor; distance: number } | undefined;
  for (const descriptor of manifests) {
    const distance = descriptor.platform ? platformDistance(platform, descriptor.platform) : undefined;
    if (distance !== undefined && (!best || distance < best.distance)) best = { descriptor, distance };
  }
  // A list of one without a platform (an image of a layout) is what it is.
  const [only] = manifests;
  if (!best && manifests.length === 1 && only && !only.platform) return only;
  if (best) return best.descriptor;
  const offered = manifests.flatMap(d => (d.platform ? [formatPlatform(d.platform)] : []));
  throw new BuildError('not-found', `the image has no variant for ${formatPlatform(platform)}`, {
    hint: offered.length > 0 ? `it has ${offered.join(', ')}` : 'it names no platforms',
  });
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BuildError('integrity', 'an image config is not valid JSON', { cause });
  }
}
