// The outer tar of image archives, written by tar-stream: the same content gives the same bytes.
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, digestFromHash } from '../image/digest.ts';
import type { Store } from '../store/store.ts';
import { type Destination, outputFailure } from './destination.ts';

/** A file of an archive: its bytes, or a blob of the store. */
export type ArchiveFile =
  | { readonly name: string; readonly text: string }
  | { readonly name: string; readonly blob: Descriptor };

/**
 * Writes the files in byte order of their names, their directories before them, and commits the destination. Times are
 * 1970, owners 0, modes fixed. Blobs are hashed on their way.
 * @throws BuildError `store` for a damaged blob, `output`, `interrupted`
 */
export async function writeArchive(
  files: readonly ArchiveFile[],
  destination: Destination,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const archive = pack({ highWaterMark: chunkBytes } as never);
  // A stream that is destroyed may say so after the pipeline stopped listening; what went wrong is known from there.
  archive.on('error', () => {});
  destination.stream.on('error', () => {});
  const flowing = pipeline(archive, destination.stream, { signal });
  try {
    await Promise.all([flowing, addAll(archive, files, store, signal).catch(error => fail(archive, error))]);
    await destination.commit();
  } catch (error) {
    if (signal.aborted) throw error;
    throw outputFailure(error, destination.to);
  }
}

type Sink = ReturnType<Pack['entry']>;

const chunkBytes = 1024 * 1024;

/** Ends the stream too, so that the pipeline does not wait for more. */
function fail(archive: Pack, error: unknown): never {
  archive.destroy(error as Error);
  throw error;
}

async function addAll(
  archive: Pack,
  files: readonly ArchiveFile[],
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const name of directoriesOf(sorted)) await addDirectory(archive, name);
  for (const file of sorted) {
    if ('text' in file) await addText(archive, file.name, file.text);
    else await addBlob(archive, file.name, file.blob, store, signal);
  }
  archive.finalize();
}

function directoriesOf(files: readonly ArchiveFile[]): string[] {
  const found = new Set<string>();
  for (const { name } of files) {
    const parts = name.split('/').slice(0, -1);
    parts.forEach((_, i) => {
      found.add(`${parts.slice(0, i + 1).join('/')}/`);
    });
  }
  return [...found].sort();
}

const fixed = { uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) } as const;

function addDirectory(archive: Pack, name: string): Promise<void> {
  return settled(archive, done => archive.entry({ ...fixed, name, type: 'directory', mode: 0o755 }, done));
}

function addText(archive: Pack, name: string, text: string): Promise<void> {
  return settled(archive, done =>
    archive.entry({ ...fixed, name, type: 'file', mode: 0o644 }, Buffer.from(text), done),
  );
}

/** tar-stream does not call back once it is destroyed; its end is waited for as well. */
function settled(archive: Pack, start: (done: (error?: Error | null) => void) => Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the archive was closed'));
    archive.once('close', closed);
    const sink = start(error => {
      archive.off('close', closed);
      if (error) reject(error);
      else resolve();
    });
    sink.on('error', () => {}); // told through the callback as well
  });
}

async function addBlob(
  archive: Pack,
  name: string,
  blob: Descriptor,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const source = readBlob(blob, store);
  let sink: Sink | undefined;
  const written = settled(archive, done => {
    sink = archive.entry({ ...fixed, name, type: 'file', mode: 0o644, size: blob.size }, done);
    return sink;
  });
  written.catch(() => {}); // awaited below; what fails first is what is reported
  if (!sink) throw new BuildError('internal', 'tar-stream gave no entry to write to');
  const check = new BlobCheck(blob);
  for await (const chunk of source) {
    if (signal.aborted) throw signal.reason;
    check.update(chunk);
    if (!sink.write(chunk)) await drained(sink);
  }
  check.end();
  sink.end(null);
  await written;
}

function drained(sink: Sink): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the archive was closed'));
    if (sink.destroying) return closed();
    sink.once('close', closed);
    sink.once('drain', () => {
      sink.off('close', closed);
      resolve();
    });
  });
}

/** @throws BuildError `not-found`, `store` when it is not as long as its descriptor says */
export function readBlob(blob: Descriptor, store: Store): AsyncIterable<Buffer> {
  const path = store.blobs.path(blob.digest);
  if (path === undefined) {
    throw new BuildError('not-found', `the blob ${blob.digest} is not in the store`, {
      facts: { digest: blob.digest },
    });
  }
  if (store.blobs.size(blob.digest) !== blob.size) throw damaged(blob, path);
  return createReadStream(path, { highWaterMark: chunkBytes });
}

function damaged(blob: Descriptor, path?: string): BuildError {
  return new BuildError('store', `the blob ${blob.digest} in the store is damaged`, {
    hint: 'slipway system verify --repair removes it; it is then made or fetched again',
    facts: { damaged: blob.digest, expected: blob.digest, path },
  });
}

/** Hashes a blob while it is copied out of the store. */
export class BlobCheck {
  readonly #blob: Descriptor;
  readonly #hash: Hash;

  constructor(blob: Descriptor) {
    this.#blob = blob;
    this.#hash = createHash(algorithmOf(blob.digest));
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /** @throws BuildError `store` when the bytes were not those of the blob */
  end(): void {
    const found = digestFromHash(this.#hash.digest('hex'), algorithmOf(this.#blob.digest));
    if (found !== this.#blob.digest) throw damaged(this.#blob, undefined);
  }
}
