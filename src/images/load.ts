// Images of an archive or layout into the store, under the names that the file gives them. Those names never decide
// what FROM means (store/store.ts, NameOrigin).
import { BuildError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import { openImageFile } from '../load/file-reference.ts';
import { type LoadedImage, loadImages } from '../load/image-file.ts';
import { readImage } from '../store/images.ts';
import { manifestsBelow, namesIn, requirePlatform } from './source.ts';
import type { ImageTools } from './tools.ts';

export interface LoadResult {
  readonly id: Digest;
  /** In short form; empty for an image without a name. */
  readonly names: readonly string[];
}

/**
 * Loads every image; nothing gets a name unless all could be read.
 * @param file an archive (packed or not) or a layout's directory; `shown` is what messages call it, default its path
 * @param platform only this one of an image of several
 * @throws BuildError `not-found`, `integrity`, `hostile`, `unsupported`
 */
export async function loadFile(
  file: { readonly kind: 'archive' | 'directory'; readonly path: string; readonly shown?: string },
  tools: ImageTools,
  platform?: Platform,
): Promise<LoadResult[]> {
  const { store, signal } = tools;
  await using container = await openImageFile(file, store, signal);
  const loaded = [];
  for (const image of unite(await loadImages(container, store, signal))) {
    loaded.push({ ...(await readLoaded(image, tools, platform)), names: namesIn(image) });
  }
  for (const { descriptor, names } of loaded) {
    for (const name of names) await store.names.set(name, descriptor, 'file');
    if (names.length === 0) await store.names.keep(descriptor);
  }
  return loaded.map(({ id, names }) => ({
    id,
    names: names.map(name => familiarReference(parseReference(name))),
  }));
}

async function readLoaded(image: LoadedImage, tools: ImageTools, platform: Platform | undefined) {
  if (platform) {
    const { descriptor, manifest, config } = await readImage(tools.store, image.descriptor, platform);
    requirePlatform(image.names[0] ?? manifest.config.digest, config.platform, platform);
    return { descriptor, id: manifest.config.digest };
  }
  const [first] = await manifestsBelow(image.descriptor, tools);
  if (!first) throw new BuildError('integrity', 'the file lists an image, but holds none of its platforms');
  return { descriptor: image.descriptor, id: first.manifest.config.digest };
}

/** Entries for the same image, one for each name, are one. */
function unite(images: readonly LoadedImage[]): LoadedImage[] {
  const found = new Map<Digest, LoadedImage>();
  for (const image of images) {
    const known = found.get(image.descriptor.digest);
    found.set(image.descriptor.digest, {
      ...image,
      names: [...new Set([...(known?.names ?? []), ...image.names])],
    });
  }
  return [...found.values()];
}
