// What a bytes worker does for each kind of job. Everything between two chunks is synchronous.
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { decompress, detectCompression, detectionBytes } from '../archive/compression.ts';
import { type ExtractOptions, Extractor } from '../archive/extract.ts';
import { tarMarker } from '../archive/marker.ts';
import { type TarEntry, type TarHandler, TarReader } from '../archive/tar-reader.ts';
import { BuildError, unreachable } from '../errors.ts';
import { canGiveOwners, inUserNamespace } from '../host/ids.ts';
import { algorithmOf, type Digest, digestFromHash } from '../image/digest.ts';
import { bytePath, type ContentSource, type LayerInput } from '../tree/entry.ts';
import { arrange } from './arrange.ts';
import { ContentReader } from './contents.ts';
import { FilesExtractor, packFiles } from './files.ts';
import { Indexer } from './indexer.ts';
import type { Job, JobKind, JobOf, JobResults, TarFacts, TreeFacts } from './jobs.ts';
import { scanTree } from './scan.ts';
import { syncFileSystem } from './sync.ts';
import { OutputFile, SparseFile, writeIndex, writeIndexOf, writeInputs, writeTar } from './tar-file.ts';

const chunkBytes = 256 * 1024;

/** @throws BuildError, or a system error of the file that was worked on */
export async function perform(job: Job): Promise<JobResults[JobKind]> {
  switch (job.kind) {
    case 'write':
      return writeTar(job.tar, job.index, writer => writeInputs(job.inputs, writer));
    case 'read':
      return readLayer(job);
    case 'scan':
      return scan(job);
    case 'pack-tree':
      return packTree(job);
    case 'clamp':
      return clampTar(job);
    case 'pack-files':
      return packFiles(job);
    case 'unpack-files':
      return unpackFiles(job);
    case 'hash':
      return hashContents(job.contents);
    default:
      return unreachable(job);
  }
}

function hashContents(contents: readonly ContentSource[]): Digest[] {
  const reader = new ContentReader();
  try {
    return contents.map(content => {
      const hash = createHash('sha256');
      reader.read(content, nameOf(content), chunk => hash.update(chunk));
      return digestFromHash(hash.digest('hex'));
    });
  } finally {
    reader.close();
  }
}

function nameOf(content: ContentSource): string {
  if (content.kind === 'in-tree') return content.path;
  return content.kind === 'range' ? bytePath(content.file) : '';
}

function scan({ tree, index }: JobOf<'scan'>): TreeFacts {
  const inputs = arrange(scanTree(tree));
  writeIndexOf(
    inputs.map(({ entry }) => ({ entry, offset: -1, sparseOffset: -1 })),
    index.index,
  );
  return { entries: inputs.length };
}

function packTree({ tree, tar, index, clampSec }: JobOf<'pack-tree'>): TarFacts {
  const inputs = arrange(scanTree(tree), clampSec);
  return writeTar(tar, index, writer => writeInputs(inputs, writer));
}

async function clampTar({ file, tar, index, clampSec }: JobOf<'clamp'>): Promise<TarFacts> {
  const indexer = new Indexer(new SparseFile(index.sparse));
  const reader = new TarReader(indexer);
  for await (const chunk of chunksOf(file)) reader.push(chunk);
  reader.finish();
  const inputs = indexer.entries().map(({ entry, offset, sparseOffset }): LayerInput => {
    if (entry.type !== 'file') return { entry };
    const content: ContentSource =
      sparseOffset >= 0
        ? { kind: 'range', file: index.sparse, offset: sparseOffset, size: entry.size }
        : { kind: 'range', file, offset, size: entry.size };
    return { entry, content };
  });
  return writeTar(tar, index, writer => writeInputs(arrange(inputs, clampSec), writer));
}

/** The bytes of a file from front to back; a chunk is valid until the next is asked for. */
async function* chunksOf(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const fd = openSync(file, 'r');
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const count = readSync(fd, chunk, 0, chunkBytes, null);
      if (count === 0) return;
      yield chunk.subarray(0, count);
    }
  } finally {
    closeSync(fd);
  }
}

function headOf(file: string): Uint8Array {
  const fd = openSync(file, 'r');
  try {
    const head = Buffer.alloc(detectionBytes);
    return head.subarray(0, readSync(fd, head, 0, detectionBytes, 0));
  } finally {
    closeSync(fd);
  }
}

/** One pass over the bytes of a layer that feeds everything that was asked for. */
async function readLayer(job: JobOf<'read'>): Promise<TarFacts> {
  const hash = createHash(algorithmOf(job.diffId));
  const tar = job.tar === undefined ? undefined : new OutputFile(job.tar);
  const sparse = new SparseFile(job.index.sparse);
  const indexer = new Indexer(sparse);
  const extractor = job.tree === undefined ? undefined : new Extractor(job.tree, treeOptions());
  try {
    const reader = new TarReader(extractor ? new Both(indexer, extractor) : indexer);
    const size = await drain(job, hash, chunk => {
      tar?.write(chunk);
      reader.push(chunk);
    });
    verify(job, hash);
    reader.finish();
    writeIndex(indexer, job.index.index);
    if (job.tree !== undefined) syncFileSystem(job.tree);
    return { diffId: job.diffId, size };
  } finally {
    tar?.close();
    sparse.close();
    extractor?.close();
  }
}

async function unpackFiles(job: JobOf<'unpack-files'>): Promise<TarFacts> {
  const hash = createHash(algorithmOf(job.diffId));
  const extractor = new FilesExtractor(job.into);
  try {
    const reader = new TarReader(extractor);
    const size = await drain(job, hash, chunk => reader.push(chunk));
    verify(job, hash);
    reader.finish();
    syncFileSystem(job.into);
    return { diffId: job.diffId, size };
  } finally {
    extractor.close();
  }
}

/** Trees are written with the rights that this process has. */
function treeOptions(): ExtractOptions {
  const isRoot = process.geteuid?.() === 0 && !inUserNamespace();
  return {
    whiteouts: 'overlay',
    overlayXattrs: isRoot ? 'trusted' : 'user',
    devices: isRoot ? 'make' : 'leave-out',
    ownership: canGiveOwners() ? 'keep' : 'record',
  };
}

type ReadJob = Pick<JobOf<'read'>, 'file' | 'name' | 'diffId' | 'maxBytes'>;

async function drain(job: ReadJob, hash: Hash, sink: (chunk: Uint8Array) => void): Promise<number> {
  let size = 0;
  for await (const chunk of decompress(chunksOf(job.file), detectCompression(headOf(job.file)))) {
    size += chunk.length;
    if (size > job.maxBytes) {
      throw new BuildError(
        'integrity',
        `the layer ${job.name} has more than ${job.maxBytes} bytes uncompressed`,
        {
          facts: { layer: job.name, limit: job.maxBytes },
        },
      );
    }
    hash.update(chunk);
    sink(chunk);
  }
  return size;
}

function verify({ diffId, name }: ReadJob, hash: Hash): void {
  const found = digestFromHash(hash.digest('hex'), algorithmOf(diffId));
  if (found === diffId) return;
  throw new BuildError('integrity', `the layer ${name} does not hold the bytes that its image promises`, {
    hint: 'the image is damaged or was tampered with; pull it again, or tell who publishes it',
    facts: { expected: diffId, found },
  });
}

/**
 * Hands everything to the index first, which refuses malformed whiteouts, then to the disk. Whiteouts come last there:
 * they are about the layers below, so where they stand in the tar means nothing, and a name that the layer brings back
 * without listing its directory must not meet the whiteout's device.
 */
class Both implements TarHandler {
  readonly #first: Indexer;
  readonly #second: Extractor;
  readonly #whiteouts: TarEntry[] = [];
  #isWhiteout = false;

  constructor(first: Indexer, second: Extractor) {
    this.#first = first;
    this.#second = second;
  }

  entry(entry: TarEntry, dataOffset: number): void {
    this.#first.entry(entry, dataOffset);
    this.#isWhiteout = tarMarker(entry.path)?.kind === 'whiteout';
    if (this.#isWhiteout) this.#whiteouts.push(entry);
    else this.#second.entry(entry, dataOffset);
  }

  data(chunk: Uint8Array): void {
    this.#first.data(chunk);
    if (!this.#isWhiteout) this.#second.data(chunk);
  }

  zeros(count: number): void {
    this.#first.zeros(count);
    if (!this.#isWhiteout) this.#second.zeros(count);
  }

  end(): void {
    for (const entry of this.#whiteouts) this.#second.entry(entry);
    this.#second.end();
  }
}
