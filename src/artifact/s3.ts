// An artifact in a bucket of an S3-compatible server: the manifest is an object under the name, blobs are objects under
// their digests.
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { BuildError, printable } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, type Digest, digestFromHash, digestOf } from '../image/digest.ts';
import { guessMediaType, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import type { Platform } from '../image/platform.ts';
import { addOrigin, bucketsOf } from '../registry/pull.ts';
import type { BlobSource, Store } from '../store/store.ts';
import type { Artifact, Documents, Draft, Place } from './place.ts';
import { type Register, rewrite, type Seen } from './rewrite.ts';
import { openBucket, type S3Bucket, type S3Credentials, type S3Objects } from './s3-client.ts';

/** Where in a bucket. */
export interface S3Location extends S3Bucket {
  /** Before all keys; default none. */
  readonly prefix: string;
  /** Default `blobs/`. */
  readonly blobsPrefix: string;
  /** Default `manifests/`. */
  readonly manifestsPrefix: string;
}

export interface S3PlaceOptions {
  readonly store: Store;
  /** Gets blobs that are written and are not in the store. */
  readonly source: BlobSource;
  readonly credentials?: S3Credentials;
  /** Least pause before the name is looked at again, in milliseconds; default 1000. */
  readonly settleMs?: number;
}

/** Objects are sent whole. */
const maxObjectBytes = 5 * 1024 ** 3;
const uploads = 4;

/** @param name of the artifact */
export function s3Place(location: S3Location, name: string, options: S3PlaceOptions): Place {
  return new S3Place(location, name, options);
}

class S3Place implements Place, Register {
  readonly name: string;
  readonly #location: S3Location;
  readonly #key: string;
  readonly #options: S3PlaceOptions;
  #objects: Promise<S3Objects> | undefined;

  constructor(location: S3Location, name: string, options: S3PlaceOptions) {
    this.#location = location;
    this.#options = options;
    this.#key = `${location.prefix}${location.manifestsPrefix}${name}`;
    this.name = printable(`s3://${location.bucket}/${this.#key}`);
    if (options.credentials) known.set(originOf(location), options.credentials);
  }

  async read(_platforms: readonly Platform[], signal: AbortSignal): Promise<readonly Artifact[]> {
    const { artifact } = await this.#read(signal);
    return artifact ? [artifact] : [];
  }

  remember(digest: Digest): void {
    addOrigin(this.#options.store, digest, originOf(this.#location));
  }

  update(
    blobs: readonly Descriptor[],
    draft: (current: Artifact | undefined) => Draft | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    return rewrite(this, blobs, draft, this.#options.settleMs ?? 1000, signal);
  }

  async look(signal: AbortSignal): Promise<Seen> {
    try {
      return await this.#read(signal);
    } catch (error) {
      if (!(error instanceof BuildError) || !['integrity', 'hostile'].includes(error.code)) throw error;
      return { digest: await this.peek(signal), artifact: undefined };
    }
  }

  async peek(signal: AbortSignal): Promise<Digest | undefined> {
    const bytes = await this.#document(this.#key, signal);
    return bytes && digestOf(bytes);
  }

  async send(blobs: readonly Descriptor[], signal: AbortSignal): Promise<void> {
    const waiting = [...blobs];
    const failed = new AbortController();
    const together = AbortSignal.any([signal, failed.signal]);
    const worker = async () => {
      for (let blob = waiting.pop(); blob; blob = waiting.pop()) await this.#sendBlob(blob, together);
    };
    const workers = Array.from({ length: uploads }, worker);
    try {
      await Promise.all(workers);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(workers);
      throw error;
    }
  }

  async sendConfig({ descriptor, bytes }: Documents['config'], signal: AbortSignal): Promise<void> {
    await (await this.#open()).put(this.#blobKey(descriptor.digest), Buffer.from(bytes), signal);
  }

  async put({ bytes }: Documents['manifest'], signal: AbortSignal): Promise<void> {
    await (await this.#open()).put(this.#key, Buffer.from(bytes), signal);
  }

  lacksBlobs(): boolean {
    return false;
  }

  #open(): Promise<S3Objects> {
    this.#objects ??= openBucket(this.#location, this.#options.credentials);
    return this.#objects;
  }

  #blobKey(digest: Digest): string {
    return `${this.#location.prefix}${this.#location.blobsPrefix}${digest}`;
  }

  async #read(signal: AbortSignal): Promise<Seen> {
    const bytes = await this.#document(this.#key, signal);
    if (!bytes) return { digest: undefined, artifact: undefined };
    const digest = digestOf(bytes);
    const mediaType = guessMediaType(bytes);
    const manifest = parseManifest(bytes, mediaType);
    if (manifest.kind !== 'manifest')
      throw new BuildError('unsupported', `${this.name} is no single manifest`);
    const config = await this.#config(manifest.config, signal);
    return { digest, artifact: { descriptor: { mediaType, digest, size: bytes.length }, manifest, config } };
  }

  async #config({ digest, size }: Descriptor, signal: AbortSignal): Promise<Buffer> {
    const bytes = await this.#document(this.#blobKey(digest), signal);
    if (bytes?.length === size && digestOf(bytes) === digest) return bytes;
    throw new BuildError('integrity', `the records of ${this.name} are missing or damaged`);
  }

  /** A small object. @throws BuildError `hostile` when it is none */
  async #document(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const body = await (await this.#open()).get(key, signal);
    if (!body) return undefined;
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      if (size > maxManifestBytes) {
        body.destroy();
        throw new BuildError('hostile', `${printable(key)} is larger than documents may be`);
      }
      parts.push(chunk as Buffer);
    }
    return Buffer.concat(parts);
  }

  async #sendBlob(blob: Descriptor, signal: AbortSignal): Promise<void> {
    const { store, source } = this.#options;
    const objects = await this.#open();
    const key = this.#blobKey(blob.digest);
    if ((await objects.size(key, signal)) === blob.size) return this.remember(blob.digest);
    if (blob.size > maxObjectBytes) {
      throw new BuildError('unsupported', `a layer of ${blob.size} bytes is too large for an S3 cache`);
    }
    if (store.blobs.path(blob.digest) === undefined) await source.fetch(blob, signal);
    const path = store.blobs.path(blob.digest);
    if (path === undefined) throw new BuildError('not-found', `the blob ${blob.digest} is not in the store`);
    await checkFile(path, blob);
    await objects.putFile(key, path, blob.size, signal);
    this.remember(blob.digest);
  }
}

/** What is damaged here must not become somebody else's. */
async function checkFile(path: string, { digest }: Descriptor): Promise<void> {
  const hash = createHash(algorithmOf(digest));
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }))
    hash.update(chunk as Buffer);
  if (isDigestOf(hash, digest)) return;
  throw new BuildError('store', `the blob ${digest} in the store is damaged`, { facts: { damaged: digest } });
}

function isDigestOf(hash: Hash, digest: Digest): boolean {
  return digestFromHash(hash.digest('hex'), algorithmOf(digest)) === digest;
}

/** Credentials of this run, by origin; never stored. */
const known = new Map<string, S3Credentials>();

/** As the store remembers it: where, without any secret. */
function originOf({ bucket, region, endpoint, pathStyle, prefix, blobsPrefix }: S3Location): string {
  return `s3:${JSON.stringify({ bucket, region, endpoint, pathStyle, prefix, blobsPrefix })}`;
}

/**
 * Fetches a blob into the store from a bucket that was seen to have it.
 * @returns false when none has it any more
 * @throws BuildError `store`, `network`, `auth`, `integrity`
 */
export async function fetchFromBuckets(
  store: Store,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<boolean> {
  for (const origin of bucketsOf(store, blob.digest)) {
    if (store.blobs.path(blob.digest) !== undefined) return true;
    const location = JSON.parse(origin.slice('s3:'.length)) as S3Location;
    const objects = await openBucket(location, known.get(origin));
    const body = await objects.get(`${location.prefix}${location.blobsPrefix}${blob.digest}`, signal);
    if (!body) continue;
    await save(body, store, blob, signal);
    return true;
  }
  return false;
}

async function save(body: Readable, store: Store, { digest, size }: Descriptor, signal: AbortSignal) {
  await using ingest = await store.blobs.ingest();
  await using file = await open(ingest.path, 'w');
  const hash = createHash(algorithmOf(digest));
  let bytes = 0;
  for await (const chunk of body) {
    signal.throwIfAborted();
    bytes += (chunk as Buffer).length;
    if (bytes > size) break;
    hash.update(chunk as Buffer);
    await file.writeFile(chunk as Buffer);
  }
  if (bytes !== size || !isDigestOf(hash, digest)) {
    throw new BuildError('integrity', `the blob ${digest} is not what it should be`);
  }
  await file.close();
  await ingest.commit(digest);
}
