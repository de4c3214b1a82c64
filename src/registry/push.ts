// Pushing an image: blobs in parallel, then manifests from the inside out, then tags, so that a tag never names
// something that is not complete.
import { open as openFile } from 'node:fs/promises';
import { BuildError } from '../errors.ts';
import { readStart } from '../host/http.ts';
import { retrying } from '../host/retry.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, digestOf, isDigest } from '../image/digest.ts';
import type { Reference } from '../image/reference.ts';
import type { Endpoint, Endpoints } from './endpoints.ts';
import { type Delivery, type PushBlob, uploadBlob } from './upload.ts';

export type { PushBlob };

/** A manifest or index as it is to be stored. */
export interface PushDocument {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface PushRequest {
  /** Where to: with a tag, or without one to be found by digest only. Several repositories and hosts are fine. */
  readonly references: readonly Reference[];
  /** Children before parents; the last one is what the references will stand for. None: only the blobs are sent. */
  readonly documents: readonly PushDocument[];
  readonly blobs: readonly PushBlob[];
  readonly onProgress?: (item: Digest, current: number, total: number) => void;
  /** Called once for each blob of each repository. */
  readonly onDelivered?: (item: Digest, repository: string, how: Delivery) => void;
}

/** What a reference stands for after the push. */
export interface PushedReference {
  readonly reference: Reference;
  readonly digest: Digest;
}

/** @throws BuildError; tags are unchanged unless everything before them succeeded */
export async function pushImage(
  endpoints: Endpoints,
  request: PushRequest,
  signal: AbortSignal,
): Promise<readonly PushedReference[]> {
  const top = request.documents.at(-1);
  const places = new Map<string, { place: Endpoint; references: Reference[] }>();
  for (const reference of request.references) {
    const place = endpoints.writable(reference);
    const entry = places.get(place.shown) ?? { place, references: [] };
    entry.references.push(reference);
    places.set(place.shown, entry);
  }
  for (const { place } of places.values()) await pushContent(endpoints, place, request, signal);
  const pushed: PushedReference[] = [];
  if (!top) return pushed;
  for (const { place, references } of places.values()) {
    for (const reference of references) {
      const digest = await putManifest(endpoints, place, top, reference.tag ?? digestOf(top.bytes), signal);
      pushed.push({ reference, digest });
    }
  }
  return pushed;
}

/** Everything but the last document, which the tags name. */
async function pushContent(
  endpoints: Endpoints,
  place: Endpoint,
  request: PushRequest,
  signal: AbortSignal,
): Promise<void> {
  const blobs = new Map(request.blobs.map(blob => [blob.descriptor.digest, blob] as const));
  const failed = new AbortController();
  const together = AbortSignal.any([signal, failed.signal]);
  const uploads = [...blobs.values()].map(async blob => {
    const { digest } = blob.descriptor;
    const report = (current: number, total: number) => request.onProgress?.(digest, current, total);
    const how = await uploadBlob(endpoints, place, blob, together, report);
    request.onDelivered?.(digest, place.shown, how);
  });
  try {
    await Promise.all(uploads);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(uploads);
    throw error;
  }
  for (const document of request.documents.slice(0, -1)) {
    await putManifest(endpoints, place, document, digestOf(document.bytes), signal);
  }
}

async function putManifest(
  endpoints: Endpoints,
  place: Endpoint,
  document: PushDocument,
  which: string,
  signal: AbortSignal,
): Promise<Digest> {
  const digest = isDigest(which) ? which : digestOf(document.bytes);
  await retrying(endpoints.retry, signal, async () => {
    const answer = await place.host
      .send({
        method: 'PUT',
        to: `/v2/${place.path}/manifests/${which}`,
        need: { repository: place.path, access: 'push' },
        headers: { 'content-type': document.mediaType },
        body: () => document.bytes,
        expect: [200, 201, 202],
        what: isDigest(which) ? `upload of manifest ${which}` : `tag ${which}`,
        signal,
      })
      .catch(error => {
        throw notYetThere(error);
      });
    await readStart(answer, 4096);
    const stored = answer.header('docker-content-digest');
    if (isDigest(stored) && stored !== digest) {
      throw new BuildError('integrity', `${place.host.name} stored another manifest than it was sent`, {
        facts: { expected: digest, found: stored },
      });
    }
  });
  return digest;
}

/**
 * A registry made of several machines may not know everywhere yet what it was sent a moment ago. One that keeps its
 * links in files reads an empty one, and takes it for a wrong digest, while another client sends the same blob.
 */
function notYetThere(error: unknown): unknown {
  if (!(error instanceof BuildError)) return error;
  const { status, registryCode } = error.facts;
  const unknown = /^(?:(?:MANIFEST_)?BLOB_UNKNOWN|MANIFEST_UNKNOWN|DIGEST_INVALID)$/.test(
    String(registryCode ?? ''),
  );
  if (status !== 404 && !unknown) return error;
  const { hint, cause, facts } = error;
  return new BuildError('network', error.message, {
    facts: { ...facts, retryable: true },
    cause,
    ...(hint ? { hint } : {}),
  });
}

/** A blob that lies in a file. */
export function fileBlob(descriptor: Descriptor, path: string, mountFrom: readonly string[] = []): PushBlob {
  return {
    descriptor,
    mountFrom,
    async *open(offset: number) {
      await using file = await openFile(path, 'r');
      yield* file.createReadStream({ start: offset, highWaterMark: 512 * 1024, autoClose: false });
    },
  };
}

/** A blob that is in memory. */
export function memoryBlob(descriptor: Descriptor, bytes: Uint8Array): PushBlob {
  return {
    descriptor,
    async *open(offset: number) {
      yield bytes.subarray(offset);
    },
  };
}
