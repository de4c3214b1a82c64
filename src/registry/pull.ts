// From a registry into the store: manifest and config at once, layers when somebody reads them. The store remembers
// which repositories have a blob (its origins), so that it can still be fetched in a later process.
import { type FileHandle, open as openFile } from 'node:fs/promises';
import { BuildError, errnoOf, messageOf } from '../errors.ts';
import { type Emit, silent } from '../events.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import type { Reference } from '../image/reference.ts';
import type { BlobSource, Store } from '../store/store.ts';
import type { BlobSink } from './download.ts';
import type { Repository } from './endpoints.ts';
import type { Registries, ResolvedImage } from './registry.ts';
import { Shared } from './shared.ts';

/** Repositories remembered for one blob. */
const maxOrigins = 16;

/**
 * Resolves an image and puts its manifest, config and index into the store; its layers are fetched later, by
 * {@link registryBlobSource}. No name is set.
 */
export async function pullImage(
  registries: Registries,
  store: Store,
  reference: Reference,
  platform: Platform,
  signal: AbortSignal,
): Promise<ResolvedImage> {
  const image = await registries.resolve(reference, platform, signal);
  rememberOrigins(store, image);
  if (image.index) await store.blobs.put(image.index.bytes);
  await store.blobs.put(image.manifestBytes);
  await store.blobs.put(image.configBytes);
  return image;
}

/** Records where an image's blobs can be had. */
export function rememberOrigins(store: Store, image: ResolvedImage): void {
  for (const { digest } of [...image.manifest.layers, image.manifest.config, image.descriptor]) {
    addOrigin(store, digest, image.repository);
  }
}

/** @param place `domain/path`, the absolute path of an OCI layout, or `s3:` and a bucket; the latest comes first */
export function addOrigin(store: Store, digest: Digest, place: string): void {
  const known = placesOf(store, digest);
  if (known[0] === place) return;
  const origins = [place, ...known.filter(other => other !== place)].slice(0, maxOrigins);
  store.meta.set('origins', digest, origins);
}

/** `domain/path` of repositories that were seen to have the blob. */
export function originsOf(store: Store, digest: Digest): readonly string[] {
  return placesOf(store, digest).filter(place => !/^(?:\/|s3:)/.test(place));
}

/** OCI layouts that were seen to have the blob. */
export function layoutsOf(store: Store, digest: Digest): readonly string[] {
  return placesOf(store, digest).filter(place => place.startsWith('/'));
}

/** Buckets that were seen to have the blob. */
export function bucketsOf(store: Store, digest: Digest): readonly string[] {
  return placesOf(store, digest).filter(place => place.startsWith('s3:'));
}

function placesOf(store: Store, digest: Digest): readonly string[] {
  const value = store.meta.get('origins', digest);
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}

/** Paths below `domain` from which a blob may be mounted. */
export function mountCandidates(store: Store, digest: Digest, domain: string): readonly string[] {
  return originsOf(store, digest)
    .filter(origin => origin.startsWith(`${domain}/`))
    .map(origin => origin.slice(domain.length + 1));
}

/**
 * Fetches blobs from where the store remembers them to be. However many ask for a blob at the same time, it is
 * fetched once.
 * @param emit receives `progress` events whose id is `id`
 */
export function registryBlobSource(
  registries: Registries,
  store: Store,
  emit: Emit = silent,
  id = 'registry',
): BlobSource {
  const running = new Shared<Digest, void>();
  return {
    async fetch(descriptor, signal) {
      if (store.blobs.path(descriptor.digest) !== undefined) return;
      await running.run(descriptor.digest, signal, inner =>
        fetchInto(registries, store, descriptor, inner, emit, id),
      );
    },
  };
}

async function fetchInto(
  registries: Registries,
  store: Store,
  descriptor: Descriptor,
  signal: AbortSignal,
  emit: Emit,
  id: string,
): Promise<void> {
  const { digest } = descriptor;
  const origins = originsOf(store, digest);
  if (origins.length === 0) {
    throw new BuildError(
      'not-found',
      `blob ${digest} is not in the store, and no registry is known to have it`,
      {
        hint: 'pull the image again',
      },
    );
  }
  let last: unknown;
  for (const origin of origins) {
    try {
      await fetchFrom(registries, store, repositoryOf(origin), descriptor, signal, emit, id);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof BuildError) || error.code === 'store') throw error;
      last ??= error;
    }
  }
  throw last;
}

async function fetchFrom(
  registries: Registries,
  store: Store,
  repository: Repository,
  descriptor: Descriptor,
  signal: AbortSignal,
  emit: Emit,
  id: string,
): Promise<void> {
  const { digest } = descriptor;
  await using ingest = await store.blobs.ingest();
  await using file = await openFile(ingest.path, 'w');
  await registries.download(repository, descriptor, fileSink(file), signal, (current, total) =>
    emit({ kind: 'progress', id, item: digest, current, total, atMs: Date.now() }),
  );
  await file.close();
  await ingest.commit(digest);
}

/** Writes a blob to an open file. */
export function fileSink(file: FileHandle): BlobSink {
  let position = 0;
  return {
    async write(chunk) {
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position).catch(cause => {
          const full = ['ENOSPC', 'EDQUOT'].includes(errnoOf(cause) ?? '');
          const why = full ? 'no space left on the device' : messageOf(cause);
          const hint = full ? { hint: 'slipway prune frees what no image needs' } : {};
          throw new BuildError('store', `a blob cannot be written to the store: ${why}`, { cause, ...hint });
        });
        done += bytesWritten;
        position += bytesWritten;
      }
    },
    async restart() {
      position = 0;
      await file.truncate(0);
    },
  };
}

function repositoryOf(origin: string): Repository {
  const slash = origin.indexOf('/');
  return { domain: origin.slice(0, slash), path: origin.slice(slash + 1) };
}
