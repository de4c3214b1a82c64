// One grammar for images wherever they are: a name or id in the local store, `docker-archive:f.tar`, `oci-archive:f.tar`,
// `oci:dir`, `docker://host/name`.
import { BuildError, printable } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { formatPlatform, hostPlatform, type Platform, platformDistance } from '../image/platform.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../image/reference.ts';
import {
  chooseImage,
  type FileReference,
  openImageFile,
  parseFileReference,
} from '../load/file-reference.ts';
import { type LoadedImage, loadImages } from '../load/image-file.ts';
import { pullImage } from '../registry/pull.ts';
import { readImage } from '../store/images.ts';
import { digestsOf, isByDigest, type LocalImage, listLocalImages, tagsOf } from './catalog.ts';
import { findImage } from './find.ts';
import type { ImageTools } from './tools.ts';

export type ImagePlace =
  | { readonly kind: 'local'; readonly text: string }
  | { readonly kind: 'file'; readonly file: FileReference }
  | { readonly kind: 'registry'; readonly reference: Reference };

/** @throws BuildError `usage` */
export function parsePlace(text: string, cwd: string): ImagePlace {
  const file = parseFileReference(text, cwd);
  if (file) return { kind: 'file', file };
  const remote = /^docker(?:-image)?:\/\/(.*)$/.exec(text)?.[1];
  if (remote !== undefined) return { kind: 'registry', reference: withDefaultTag(parseReference(remote)) };
  return { kind: 'local', text };
}

/** An image whose manifest and config are in the store; layers may still be where it came from. */
export interface OpenedImage {
  readonly id: Digest;
  /** As it was found: a manifest, or the index that it is one platform of. */
  readonly root: Descriptor;
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  /** In short form. */
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** The tag, in full form, by which it was asked for in the local store. */
  readonly askedAs?: string;
  /** When it is one of the local store. */
  readonly local?: LocalImage;
}

/**
 * Opens the image that `text` names. What is read from a file or registry goes into the store without a name.
 * @param platform for one of several platforms; an image that is there for one platform only must fit when it is given
 * @throws BuildError `not-found`, `usage`, `integrity`, `auth`, `network`
 */
export async function openImage(text: string, tools: ImageTools, platform?: Platform): Promise<OpenedImage> {
  const opened = await open(parsePlace(text, tools.cwd), tools, platform);
  if (platform) requirePlatform(text, opened.config.platform, platform);
  return opened;
}

/** @throws BuildError `not-found` when an image that has no others is for another platform than the user asked for */
export function requirePlatform(text: string, found: Platform, wanted: Platform): void {
  if (platformDistance(wanted, found) !== undefined) return;
  throw new BuildError(
    'not-found',
    `the image ${printable(text)} is for ${formatPlatform(found)}, not for ${formatPlatform(wanted)}`,
  );
}

async function open(
  place: ImagePlace,
  tools: ImageTools,
  platform: Platform | undefined,
): Promise<OpenedImage> {
  switch (place.kind) {
    case 'local': {
      const { image, name } = findImage(await listLocalImages(tools.store, platform), place.text);
      const opened = await openLocal(image, name?.descriptor ?? image.descriptor, tools, platform);
      return name && !isByDigest(name) ? { ...opened, askedAs: name.name } : opened;
    }
    case 'file':
      return openFile(place.file, tools, platform ?? hostPlatform());
    case 'registry': {
      const image = await pullImage(
        await tools.registries(),
        tools.store,
        place.reference,
        platform ?? hostPlatform(),
        tools.signal,
      );
      const { descriptor, manifest, config, top } = image;
      const { domain, path, tag } = place.reference;
      const digests = [familiarReference({ domain, path, digest: top.digest })];
      const tags = tag ? [familiarReference({ domain, path, tag })] : [];
      return { id: manifest.config.digest, root: top, descriptor, manifest, config, tags, digests };
    }
  }
}

async function openLocal(
  image: LocalImage,
  root: Descriptor,
  { store }: ImageTools,
  platform: Platform | undefined,
): Promise<OpenedImage> {
  const wanted = platform ?? image.config.platform;
  const { descriptor, manifest, config } = await readImage(store, root, wanted);
  return {
    id: manifest.config.digest,
    root,
    descriptor,
    manifest,
    config,
    tags: tagsOf(image),
    digests: digestsOf(image),
    local: image,
  };
}

async function openFile(file: FileReference, tools: ImageTools, platform: Platform): Promise<OpenedImage> {
  const { store, signal } = tools;
  await using container = await openImageFile(file, store, signal);
  const loaded = chooseImage(await loadImages(container, store, signal), file);
  const { descriptor, manifest, config } = await readImage(store, loaded.descriptor, platform);
  return {
    id: manifest.config.digest,
    root: loaded.descriptor,
    descriptor,
    manifest,
    config,
    tags: namesIn(loaded).map(name => familiarReference(parseReference(name))),
    digests: [],
  };
}

/**
 * The full names that a file gives an image. A bare word in an OCI layout is a tag without a repository: it names nothing.
 * @throws BuildError `integrity`
 */
export function namesIn(image: LoadedImage): string[] {
  return image.names
    .filter(name => /[/:@]/.test(name))
    .map(name => {
      try {
        return formatReference(withDefaultTag(parseReference(name)));
      } catch (cause) {
        throw new BuildError(
          'integrity',
          `the file gives an image a name that is none: "${printable(name)}"`,
          { cause },
        );
      }
    });
}

/** Fetches what of the image's layers is not in the store yet. @throws BuildError `network`, `auth`, `not-found` */
export async function fetchLayers(manifest: Manifest, tools: ImageTools): Promise<void> {
  await Promise.all(
    manifest.layers
      .filter(layer => tools.store.blobs.path(layer.digest) === undefined)
      .map(layer => tools.source.fetch(layer, tools.signal)),
  );
}

/** Every manifest below `root` that is in the store, each once; `root` itself when it is one. */
export async function manifestsBelow(
  root: Descriptor,
  tools: ImageTools,
  depth = 0,
  seen = new Set<Digest>(),
): Promise<{ readonly descriptor: Descriptor; readonly manifest: Manifest }[]> {
  if (depth > 4) throw new BuildError('integrity', 'an image index is nested too deeply');
  if (seen.has(root.digest)) return [];
  seen.add(root.digest);
  if (depth > 0 && tools.store.blobs.path(root.digest) === undefined) return [];
  const bytes = await tools.store.blobs.read(root.digest, maxManifestBytes);
  const document = parseManifest(bytes, root.mediaType);
  if (document.kind === 'manifest') return [{ descriptor: root, manifest: document }];
  const found = [];
  for (const child of document.manifests)
    found.push(...(await manifestsBelow(child, tools, depth + 1, seen)));
  return found;
}
