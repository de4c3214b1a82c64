// A tar on its way into the store: written, hashed and listed in one pass.
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { TarReader } from '../archive/tar-reader.ts';
import { TarWriter } from '../archive/tar-writer.ts';
import { digestFromHash } from '../image/digest.ts';
import type { Entry, LayerEntry, LayerInput } from '../tree/entry.ts';
import { ContentReader } from './contents.ts';
import { encodeIndex } from './index-file.ts';
import { type IndexedEntry, Indexer, type SparseSink } from './indexer.ts';
import type { IndexPaths, TarFacts } from './jobs.ts';
import { opaquePath, whiteoutPath } from './whiteout.ts';

/** A new or emptied file that is written from front to back. */
export class OutputFile {
  readonly #fd: number;
  #position = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'w', 0o600);
  }

  get position(): number {
    return this.#position;
  }

  write(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length; ) {
      done += writeSync(this.#fd, chunk, done, chunk.length - done, this.#position + done);
    }
    this.#position += chunk.length;
  }

  /** Leaves a hole. */
  skip(count: number): void {
    this.#position += count;
  }

  close(): void {
    try {
      ftruncateSync(this.#fd, this.#position);
    } finally {
      closeSync(this.#fd);
    }
  }
}

/** Contents of sparse files; the file is made when there is one. */
export class SparseFile implements SparseSink {
  readonly #path: string;
  #file: OutputFile | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get position(): number {
    return this.#file?.position ?? 0;
  }

  write(chunk: Uint8Array): void {
    this.#open().write(chunk);
  }

  skip(count: number): void {
    this.#open().skip(count);
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): OutputFile {
    this.#file ??= new OutputFile(this.#path);
    return this.#file;
  }
}

/** Writes the index that the indexer collected. */
export function writeIndex(indexer: Indexer, path: string): void {
  writeIndexOf(indexer.entries(), path);
}

/** @param list in byte order */
export function writeIndexOf(list: readonly IndexedEntry[], path: string): void {
  const file = new OutputFile(path);
  try {
    file.write(encodeIndex(list));
  } finally {
    file.close();
  }
}

/**
 * Writes a deterministic tar. The index is read back from the bytes that were written, so it says what the tar says.
 * @param fill writes the entries in their final order
 */
export function writeTar(tar: string, index: IndexPaths, fill: (writer: TarWriter) => void): TarFacts {
  const file = new OutputFile(tar);
  const hash = createHash('sha256');
  const indexer = new Indexer();
  const reader = new TarReader(indexer);
  try {
    const writer = new TarWriter(chunk => {
      file.write(chunk);
      hash.update(chunk);
      reader.push(chunk);
    });
    fill(writer);
    writer.finish();
    reader.finish();
  } finally {
    file.close();
  }
  writeIndex(indexer, index.index);
  return { diffId: digestFromHash(hash.digest('hex')), size: file.position };
}

/** @param inputs arranged */
export function writeInputs(inputs: Iterable<LayerInput>, writer: TarWriter): void {
  const contents = new ContentReader();
  try {
    for (const { entry, content } of inputs) {
      writeEntry(entry, writer);
      if (entry.type === 'file' && content) contents.read(content, entry.path, chunk => writer.data(chunk));
    }
  } finally {
    contents.close();
  }
}

/** An entry, or the markers that stand for it in a tar. */
export function writeEntry(entry: LayerEntry, writer: TarWriter): void {
  const { type, opaque, ...rest } = entry;
  if (type === 'whiteout') {
    writer.entry({ ...marker, path: whiteoutPath(entry.path) });
    return;
  }
  writer.entry({ ...rest, type });
  if (opaque) writer.entry({ ...marker, path: opaquePath(entry.path) });
}

/** What all marker files have: nothing that depends on when or where. */
const marker: Omit<Entry, 'path'> = {
  type: 'file',
  mode: 0,
  uid: 0,
  gid: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  size: 0,
};
