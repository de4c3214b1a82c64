// An artifact under a tag of an OCI image layout in a directory. Writers hold a kernel lock, so nothing is ever lost.
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BuildError, messageOf, printable } from '../errors.ts';
import { waitForLock } from '../host/lock.ts';
import { fsyncDir, writeFileAtomically } from '../host/temp.ts';
import { type Descriptor, descriptorToJson } from '../image/descriptor.ts';
import { algorithmOf, type Digest, digestFromHash } from '../image/digest.ts';
import { guessMediaType, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import type { Platform } from '../image/platform.ts';
import { type Container, directoryContainer, readDocument } from '../load/container.ts';
import { addOrigin, layoutsOf } from '../registry/pull.ts';
import { addFile, blobName, existingEntries, isThere } from '../store/layout-files.ts';
import { annotationKeys, indexText, layoutText } from '../store/layout-index.ts';
import type { BlobSource, Store } from '../store/store.ts';
import { type Artifact, type Draft, documentsOf, type Place } from './place.ts';

export interface LayoutPlaceOptions {
  readonly store: Store;
  /** Gets blobs that are written and are not in the store. */
  readonly source: BlobSource;
  /** Name of the entry in index.json; default `latest`. */
  readonly tag?: string;
  /** Reads this manifest, whatever its tag. */
  readonly digest?: Digest;
  /** After writing, blobs that no entry of index.json leads to are deleted. Default false. */
  readonly reset?: boolean;
  /** After writing, blobs of what was replaced that no entry of index.json leads to are deleted. Default false. */
  readonly tidy?: boolean;
}

/** @param directory absolute */
export function layoutPlace(directory: string, options: LayoutPlaceOptions): Place {
  return new LayoutPlace(directory, options);
}

class LayoutPlace implements Place {
  readonly name: string;
  readonly #dir: string;
  readonly #tag: string;
  readonly #options: LayoutPlaceOptions;

  constructor(directory: string, options: LayoutPlaceOptions) {
    this.#dir = directory;
    this.#tag = options.tag ?? 'latest';
    this.#options = options;
    this.name = `${printable(directory)}:${this.#tag}`;
  }

  async read(_platforms: readonly Platform[], _signal: AbortSignal): Promise<readonly Artifact[]> {
    const found = await this.#read();
    return found ? [found] : [];
  }

  remember(digest: Digest): void {
    addOrigin(this.#options.store, digest, this.#dir);
  }

  async update(
    blobs: readonly Descriptor[],
    draft: (current: Artifact | undefined) => Draft | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await mkdir(this.#dir, { recursive: true });
      using _lock = await waitForLock(this.#dir, 'exclusive', signal);
      existingEntries(this.#dir);
      const current = await this.#read().catch(forgiveDamage);
      const next = draft(current);
      if (next) await this.#write(next, blobs, signal);
      const { reset, tidy } = this.#options;
      if (reset) await removeUnlisted(this.#dir, () => true);
      else if (tidy && next && current) await removeUnlisted(this.#dir, isPartOf(current));
    } catch (error) {
      if (error instanceof BuildError || signal.aborted) throw error;
      throw new BuildError('output', `cannot write ${printable(this.#dir)}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #read(): Promise<Artifact | undefined> {
    const container = directoryContainer(this.#dir);
    if (!container.has('index.json')) return undefined;
    const entry = this.#entry(await readDocument(container, 'index.json'));
    if (!entry) return undefined;
    const manifest = parseManifest(await readBlob(container, entry), entry.mediaType);
    if (manifest.kind !== 'manifest') {
      throw new BuildError('unsupported', `${this.name} is an image for several platforms`);
    }
    return { descriptor: entry, manifest, config: await readBlob(container, manifest.config) };
  }

  #entry(bytes: Buffer): Descriptor | undefined {
    const index = parseManifest(bytes, guessMediaType(bytes));
    if (index.kind !== 'index') throw new BuildError('integrity', `${this.name}: index.json is no index`);
    const { digest } = this.#options;
    if (digest !== undefined) return index.manifests.find(entry => entry.digest === digest);
    return index.manifests.find(entry => entry.annotations?.[annotationKeys.tag] === this.#tag);
  }

  async #write(draft: Draft, blobs: readonly Descriptor[], signal: AbortSignal): Promise<void> {
    const { manifest, config } = documentsOf(draft);
    const listed = new Set(draft.layers.map(({ digest }) => digest));
    for (const blob of blobs) {
      if (listed.has(blob.digest) && !isThere(this.#dir, blob)) await this.#addBlob(blob, signal);
    }
    for (const { descriptor, bytes } of [config, manifest]) {
      await addFile(this.#dir, descriptor.digest, [], write => write(Buffer.from(bytes)));
    }
    await fsyncDir(join(this.#dir, dirname(blobName(manifest.descriptor.digest))));
    writeFileAtomically(join(this.#dir, 'oci-layout'), layoutText, 0o644);
    const others = existingEntries(this.#dir).filter(entry => !hasTag(entry, this.#tag));
    const annotations = { [annotationKeys.tag]: this.#tag };
    const own = descriptorToJson({ ...manifest.descriptor, annotations });
    writeFileAtomically(join(this.#dir, 'index.json'), indexText([...others, own]), 0o644);
  }

  async #addBlob(blob: Descriptor, signal: AbortSignal): Promise<void> {
    const { store, source } = this.#options;
    if (store.blobs.path(blob.digest) === undefined) await source.fetch(blob, signal);
    const path = store.blobs.path(blob.digest);
    if (path === undefined) throw new BuildError('not-found', `the blob ${blob.digest} is not in the store`);
    await addFile(this.#dir, blob.digest, [], async write => {
      const hash = createHash(algorithmOf(blob.digest));
      for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
        signal.throwIfAborted();
        hash.update(chunk as Buffer);
        await write(chunk as Buffer);
      }
      const found = digestFromHash(hash.digest('hex'), algorithmOf(blob.digest));
      if (found === blob.digest) return;
      throw new BuildError('store', `the blob ${blob.digest} in the store is damaged`, {
        facts: { damaged: blob.digest, expected: blob.digest, found },
      });
    });
  }
}

function hasTag(entry: unknown, tag: string): boolean {
  const { annotations } = (entry ?? {}) as { annotations?: Record<string, unknown> };
  return annotations?.[annotationKeys.tag] === tag;
}

/** What is broken is replaced. */
function forgiveDamage(error: unknown): undefined {
  if (error instanceof BuildError && ['integrity', 'hostile'].includes(error.code)) return undefined;
  throw error;
}

async function readBlob(container: Container, { digest, size }: Descriptor): Promise<Buffer> {
  if (size > maxManifestBytes) {
    throw new BuildError('hostile', `${container.description}: ${digest} is larger than documents may be`);
  }
  const bytes = await readDocument(container, blobName(digest), maxManifestBytes);
  const algorithm = algorithmOf(digest);
  const found = digestFromHash(createHash(algorithm).update(bytes).digest('hex'), algorithm);
  if (found === digest && bytes.length === size) return bytes;
  throw new BuildError('integrity', `the blob ${digest} of ${container.description} is damaged`, {
    facts: { expected: digest, found },
  });
}

/**
 * Copies a blob into the store from a layout that was seen to have it.
 * @returns false when none has it any more
 * @throws BuildError `store`
 */
export async function fetchFromLayouts(
  store: Store,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<boolean> {
  for (const dir of layoutsOf(store, blob.digest)) {
    if (store.blobs.path(blob.digest) !== undefined) return true;
    if (await copyFrom(directoryContainer(dir), store, blob, signal)) return true;
  }
  return false;
}

async function copyFrom(
  container: Container,
  store: Store,
  { digest, size }: Descriptor,
  signal: AbortSignal,
): Promise<boolean> {
  const name = blobName(digest);
  try {
    if (container.size(name) !== size) return false;
  } catch {
    return false; // something that is no ordinary file
  }
  await using ingest = await store.blobs.ingest();
  await using file = await open(ingest.path, 'w');
  const hash = createHash(algorithmOf(digest));
  let bytes = 0;
  for await (const chunk of container.stream(name)) {
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > size) return false;
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  await file.close();
  if (digestFromHash(hash.digest('hex'), algorithmOf(digest)) !== digest) return false;
  await ingest.commit(digest);
  return true;
}

/** For file names of blobs. */
function isPartOf({ descriptor, manifest }: Artifact): (blob: string) => boolean {
  const parts = [descriptor, manifest.config, ...manifest.layers].map(({ digest }) => blobName(digest));
  return blob => parts.includes(blob);
}

/** Blobs that no entry of index.json leads to. */
async function removeUnlisted(dir: string, mayGo: (blob: string) => boolean): Promise<void> {
  const container = directoryContainer(dir);
  const listed = new Set<string>();
  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (listed.has(blobName(descriptor.digest))) return;
    listed.add(blobName(descriptor.digest));
    if (descriptor.size > maxManifestBytes || depth > 4) return;
    const document = parseManifest(await readBlob(container, descriptor), descriptor.mediaType);
    if (document.kind === 'index') for (const child of document.manifests) await visit(child, depth + 1);
    else for (const blob of [document.config, ...document.layers]) listed.add(blobName(blob.digest));
  };
  const bytes = await readDocument(container, 'index.json');
  const index = parseManifest(bytes, guessMediaType(bytes));
  for (const entry of index.kind === 'index' ? index.manifests : []) await visit(entry, 0);
  for (const algorithm of ['sha256', 'sha512']) {
    const place = join(dir, 'blobs', algorithm);
    if (!statSync(place, { throwIfNoEntry: false })?.isDirectory()) continue;
    for (const name of await readdir(place)) {
      const blob = `blobs/${algorithm}/${name}`;
      if (!listed.has(blob) && mayGo(blob)) await rm(join(place, name), { force: true });
    }
  }
}
