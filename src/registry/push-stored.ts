// From the store to a registry: a manifest or index with everything below it. Blobs that are not here are fetched from
// where they came from, unless the destination has them already.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Index, type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import type { Reference } from '../image/reference.ts';
import type { BlobSource, Store } from '../store/store.ts';
import { addOrigin, mountCandidates } from './pull.ts';
import { fileBlob, type PushDocument } from './push.ts';
import type { PushedReference, Registries } from './registry.ts';
import type { PushBlob } from './upload.ts';

const maxDepth = 4;

/**
 * Where the blobs went is remembered: the next repository of the host has them mounted.
 * @param references where to; one without a tag is pushed by digest only
 * @throws BuildError `auth`, `network`, `not-found` when the image is not complete and its layers cannot be had
 */
export async function pushStored(
  registries: Registries,
  store: Store,
  source: BlobSource,
  root: Descriptor,
  references: readonly Reference[],
  signal: AbortSignal,
  onProgress?: (item: string, current: number, total: number) => void,
): Promise<readonly PushedReference[]> {
  const documents: PushDocument[] = [];
  const blobs = new Map<string, PushBlob>();
  const domains = [...new Set(references.map(reference => reference.domain))];
  const seen = new Set<Digest>();
  const collect = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (seen.has(descriptor.digest)) return;
    seen.add(descriptor.digest);
    if (depth > maxDepth) throw new BuildError('integrity', 'an image index is nested too deeply');
    const bytes = await store.blobs.read(descriptor.digest, maxManifestBytes);
    const document: Manifest | Index = parseManifest(bytes, descriptor.mediaType);
    if (document.kind === 'index') for (const child of document.manifests) await collect(child, depth + 1);
    else {
      for (const blob of [document.config, ...document.layers]) {
        if (!blobs.has(blob.digest)) blobs.set(blob.digest, storedBlob(blob, store, source, domains, signal));
      }
    }
    documents.push({ mediaType: descriptor.mediaType, bytes });
  };
  await collect(root, 0);
  // A location of registries.conf is another name, under which nobody would ask for the blob.
  const named = new Set(references.map(({ domain, path }) => `${domain}/${path}`));
  const onDelivered = (digest: Digest, repository: string) => {
    if (named.has(repository)) addOrigin(store, digest, repository);
  };
  return registries.push(
    { references, documents, blobs: [...blobs.values()], onDelivered, ...(onProgress ? { onProgress } : {}) },
    signal,
  );
}

/** Fetched only when somebody reads it: a registry that has the blob, or can mount it, never asks. */
export function storedBlob(
  descriptor: Descriptor,
  store: Store,
  source: BlobSource,
  domains: readonly string[],
  signal: AbortSignal,
): PushBlob {
  const mountFrom = domains.flatMap(domain => mountCandidates(store, descriptor.digest, domain));
  return {
    descriptor,
    mountFrom,
    async *open(offset: number) {
      let path = store.blobs.path(descriptor.digest);
      if (path === undefined) {
        await source.fetch(descriptor, signal);
        path = store.blobs.path(descriptor.digest);
      }
      if (path === undefined)
        throw new BuildError('not-found', `the blob ${descriptor.digest} is not in the store`);
      yield* fileBlob(descriptor, path).open(offset);
    },
  };
}
