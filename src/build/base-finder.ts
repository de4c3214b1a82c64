// Where images come from: the local store, a file or layout, a registry. FROM, COPY --from and mounts all ask here.
import { BuildError } from '../errors.ts';
import { configFromJson } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { formatReference, parseReference, type Reference, withDefaultTag } from '../image/reference.ts';
import type { Layers } from '../layer/layers.ts';
import {
  chooseImage,
  type FileReference,
  openImageFile,
  parseFileReference,
} from '../load/file-reference.ts';
import { loadImages } from '../load/image-file.ts';
import type { BaseRequest } from '../plan/steps.ts';
import type { ResolvedImage } from '../registry/registry.ts';
import { readImage, type StoredImage } from '../store/images.ts';
import type { Store } from '../store/store.ts';
import type { PullPolicy } from './request.ts';
import type { BaseFinder, BaseImage } from './tools.ts';

export interface FinderParts {
  readonly store: Store;
  readonly layers: Layers;
  /** Resolves in a registry and puts manifest and config into the store. */
  resolveRemote(ref: Reference, request: BaseRequest, signal: AbortSignal): Promise<ResolvedImage>;
  readonly cwd: string;
}

export function makeBaseFinder(parts: FinderParts): BaseFinder {
  return {
    async find(request, pull, signal) {
      const file = parseFileReference(request.reference, parts.cwd);
      if (file) return fromFile(file, request, parts, signal);
      const text = request.reference.replace(/^docker-image:\/\//, '');
      const ref = withDefaultTag(parseReference(text));
      return fromNameOrRegistry(ref, request, pull, parts, signal);
    },
  };
}

/** What earlier builds found under a name, so that an unchanged build asks no registry. */
function rememberedKey(ref: Reference, request: BaseRequest): string {
  return `base ${formatReference(ref)} ${request.id.slice(request.id.lastIndexOf('|') + 1)}`;
}

async function fromNameOrRegistry(
  ref: Reference,
  request: BaseRequest,
  pull: PullPolicy,
  parts: FinderParts,
  signal: AbortSignal,
): Promise<BaseImage> {
  const { store } = parts;
  const name = formatReference(ref);
  const given = store.names.get(name);
  // A name that was given here (by -t) means the image built here, whatever a registry has under it; what a file that
  // was loaded calls its images means nothing (RG-13).
  const named = given?.from === 'file' ? undefined : given;
  const known =
    named?.descriptor ?? (store.meta.get('misc', rememberedKey(ref, request)) as Descriptor | undefined);
  if (known && (pull !== 'always' || named?.from === 'here')) {
    const image = await tryRead(store, known, request);
    if (image) return adopt(name, image, parts, true);
  }
  if (pull === 'never') {
    throw new BuildError('not-found', `the image ${request.reference} is not in the local store`, {
      hint: given
        ? `one of that name was loaded from a file, which FROM does not go by; slipway tag ${request.reference} ${request.reference} makes the name yours`
        : 'leave out --pull=never to fetch it',
    });
  }
  const resolved = await parts.resolveRemote(ref, request, signal);
  await store.blobs.put(resolved.manifestBytes);
  await store.blobs.put(resolved.configBytes);
  store.meta.set('misc', rememberedKey(ref, request), resolved.descriptor);
  const config = configFromJson(JSON.parse(resolved.configBytes.toString('utf8')));
  return adopt(name, { descriptor: resolved.descriptor, manifest: resolved.manifest, config }, parts, false);
}

/** A damaged or half-pruned image is a miss. */
async function tryRead(
  store: Store,
  descriptor: Descriptor,
  request: BaseRequest,
): Promise<StoredImage | undefined> {
  try {
    return await readImage(store, descriptor, request.platform);
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

function adopt(name: string, image: StoredImage, parts: FinderParts, local: boolean): BaseImage {
  const { manifest, config, descriptor } = image;
  if (manifest.layers.length !== config.diffIds.length) {
    throw new BuildError(
      'integrity',
      `${name} has ${manifest.layers.length} layers, its config names ${config.diffIds.length}`,
    );
  }
  config.diffIds.forEach((diffId, i) => {
    const blob = manifest.layers[i];
    if (blob) parts.layers.adopt(diffId, blob);
  });
  return {
    reference: `${name}@${descriptor.digest}`,
    config,
    layers: config.diffIds,
    manifest: descriptor,
    local,
  };
}

async function fromFile(
  file: FileReference,
  request: BaseRequest,
  parts: FinderParts,
  signal: AbortSignal,
): Promise<BaseImage> {
  const { store } = parts;
  await using container = await openImageFile(file, store, signal);
  const images = await loadImages(container, store, signal);
  const image = await readImage(store, chooseImage(images, file).descriptor, request.platform);
  return adopt(request.reference, image, parts, true);
}
