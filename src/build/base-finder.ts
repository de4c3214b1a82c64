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
import { mayBeElsewhere } from '../registry/short-names.ts';
import { readImage, type StoredImage } from '../store/images.ts';
import type { Store } from '../store/store.ts';
import type { PullPolicy } from './request.ts';
import type { BaseFinder, BaseImage } from './tools.ts';

export interface FinderParts {
  readonly store: Store;
  readonly layers: Layers;
  /** What a name without a host may stand for, in order; that of Docker Hub unless something is configured. */
  meanings(name: string): Promise<readonly Reference[]>;
  /** Resolves in a registry and puts manifest and config into the store. */
  resolveRemote(ref: Reference, request: BaseRequest, signal: AbortSignal): Promise<ResolvedImage>;
  readonly cwd: string;
}

export function makeBaseFinder(parts: FinderParts): BaseFinder {
  return {
    async find(request, pull, signal) {
      const file = parseFileReference(request.reference, parts.cwd);
      if (file) return fromFile(file, request, parts, signal);
      const full = /^docker-image:\/\/(.*)$/s.exec(request.reference)?.[1];
      if (full === undefined) return fromName(request, pull, parts, signal);
      return fromNameOrRegistry(withDefaultTag(parseReference(full)), request, pull, parts, signal);
    },
  };
}

/**
 * By a name as it is written in a Dockerfile. What is here, or was found before, needs no look at the configuration;
 * of several meanings the first that is somewhere counts. A registry that cannot be reached ends the search: what another
 * one has under the name need not be the same.
 */
async function fromName(
  request: BaseRequest,
  pull: PullPolicy,
  parts: FinderParts,
  signal: AbortSignal,
): Promise<BaseImage> {
  const { meta } = parts.store;
  const written = withDefaultTag(parseReference(request.reference));
  const memo = `short name ${formatReference(written)}`;
  const meant = pull === 'always' ? undefined : meta.get('misc', memo);
  for (const ref of [written, ...(typeof meant === 'string' ? [parseReference(meant)] : [])]) {
    const here = await fromStore(ref, request, pull, parts);
    if (here) return here;
  }
  const meanings = (await parts.meanings(request.reference)).map(withDefaultTag);
  let failure: unknown;
  for (const ref of meanings) {
    try {
      const base = await fromNameOrRegistry(ref, request, pull, parts, signal);
      if (ref.domain !== written.domain && !ref.digest) meta.set('misc', memo, formatReference(ref));
      return base;
    } catch (error) {
      failure = error;
      if (!mayBeElsewhere(error)) break;
    }
  }
  throw failure;
}

/** What earlier builds found under a name, so that an unchanged build asks no registry. */
function rememberedKey(ref: Reference, request: BaseRequest): string {
  return `base ${formatReference(ref)} ${request.id.slice(request.id.lastIndexOf('|') + 1)}`;
}

async function fromStore(
  ref: Reference,
  request: BaseRequest,
  pull: PullPolicy,
  parts: FinderParts,
): Promise<BaseImage | undefined> {
  const { store } = parts;
  const name = formatReference(ref);
  const given = store.names.get(name);
  // A name that was given here (by -t) means the image built here, whatever a registry has under it; what a file that
  // was loaded calls its images means nothing (RG-13).
  const named = given?.from === 'file' ? undefined : given;
  const known =
    named?.descriptor ?? (store.meta.get('misc', rememberedKey(ref, request)) as Descriptor | undefined);
  if (!known || (pull === 'always' && named?.from !== 'here')) return undefined;
  const image = await tryRead(store, known, request);
  return image && adopt(name, image, parts, true);
}

async function fromNameOrRegistry(
  ref: Reference,
  request: BaseRequest,
  pull: PullPolicy,
  parts: FinderParts,
  signal: AbortSignal,
): Promise<BaseImage> {
  const here = await fromStore(ref, request, pull, parts);
  if (here) return here;
  const { store } = parts;
  const name = formatReference(ref);
  if (pull === 'never') {
    const given = store.names.get(name);
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
