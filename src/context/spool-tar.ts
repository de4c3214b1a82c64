// An archive (tar, plain or packed) written uncompressed into a temporary file, with the list of what is in it: contents
// stay where they are in that file, so nothing is ever unpacked onto the disk. For contexts and for ADD.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { decompress, detectCompression, detectionBytes, type Packing } from '../archive/compression.ts';
import { type TarEntry, TarReader } from '../archive/tar-reader.ts';
import { BuildError, messageOf } from '../errors.ts';
import type { ContentSource, Entry } from '../tree/entry.ts';
import { isKeptXattr } from '../tree/xattr-policy.ts';

/** In the order of the archive; names may repeat, and a hard link names an earlier entry. */
export interface ArchiveEntry {
  readonly entry: Entry;
  /** Files only. */
  readonly content?: ContentSource;
}

export interface SpoolLimits {
  /** Bytes of the unpacked archive; default 256 GiB. */
  readonly maxBytes?: number;
}

const defaultMaxBytes = 256 * 1024 ** 3;

/** The first bytes of a stream, and the whole stream again. */
export interface Peeked {
  readonly head: Buffer;
  readonly all: AsyncIterable<Uint8Array>;
}

/** Reads as much as is needed to tell what a stream is. */
export async function peek(source: AsyncIterable<Uint8Array>): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]();
  const parts: Buffer[] = [];
  let size = 0;
  while (size < detectionBytes) {
    const next = await iterator.next();
    if (next.done) break;
    parts.push(Buffer.from(next.value)); // copied: the source may use its buffer again
    size += next.value.length;
  }
  const start = Buffer.concat(parts, size);
  return { head: start.subarray(0, detectionBytes), all: resume(start, iterator) };
}

async function* resume(start: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (start.length > 0) yield start;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** An archive that was recognised; its stream is the unpacked one. */
export interface RecognizedArchive {
  readonly packing: Exclude<Packing, 'none'>;
  readonly tar: AsyncIterable<Uint8Array>;
}

/**
 * Tells by content whether a stream is a tar, packed or not.
 * @returns undefined for anything else, packed text and an empty archive included; the stream is used up then
 */
export async function recognizeArchive(
  source: AsyncIterable<Uint8Array>,
): Promise<RecognizedArchive | undefined> {
  const outer = await peek(source);
  const packing = detectCompression(outer.head);
  if (packing === 'tar') return { packing, tar: outer.all };
  if (packing === 'none') return close(outer.all);
  try {
    const inner = await peek(decompress(outer.all, packing));
    return detectCompression(inner.head) === 'tar' ? { packing, tar: inner.all } : close(inner.all);
  } catch (error) {
    // Damaged right at the start: it is not known to be an archive. A missing program is worth telling.
    if (error instanceof BuildError && error.code === 'integrity') return undefined;
    throw error;
  }
}

async function close(stream: AsyncIterable<Uint8Array>): Promise<undefined> {
  await stream[Symbol.asyncIterator]().return?.();
}

/**
 * @param tar unpacked
 * @param to path of the file to write; sparse files' contents go to `<to>.sparse` beside it
 * @throws BuildError `integrity` or `hostile` for a damaged or hostile archive, `store` when the disk is full
 */
export async function spoolTar(
  tar: AsyncIterable<Uint8Array>,
  to: string,
  signal: AbortSignal,
  limits: SpoolLimits = {},
): Promise<readonly ArchiveEntry[]> {
  const spool = new Spool(to, limits.maxBytes ?? defaultMaxBytes);
  try {
    for await (const chunk of tar) {
      signal.throwIfAborted();
      spool.take(chunk);
    }
    return spool.finish();
  } finally {
    spool.close();
  }
}

/** Time of the newest file of an archive; undefined when there is none. */
export function newestFileSec(entries: readonly ArchiveEntry[]): number | undefined {
  let newest: number | undefined;
  for (const { entry } of entries) {
    if (entry.type === 'file') newest = Math.max(entry.mtimeSec, newest ?? entry.mtimeSec);
  }
  return newest;
}

class Spool {
  readonly #to: string;
  readonly #maxBytes: number;
  readonly #fd: number;
  readonly #entries: ArchiveEntry[] = [];
  readonly #reader: TarReader;
  #size = 0;
  /** Where the contents of sparse files are expanded to; holes stay holes. */
  #sparse: { readonly fd: number; size: number } | undefined;
  #expanding = false;

  constructor(to: string, maxBytes: number) {
    this.#to = to;
    this.#maxBytes = maxBytes;
    this.#fd = openSync(to, 'wx', 0o600);
    this.#reader = new TarReader({
      entry: (entry, offset) => this.#begin(entry, offset),
      data: chunk => {
        if (this.#sparse && this.#expanding) {
          write(this.#sparse.fd, chunk, this.#sparse.size);
          this.#sparse.size += chunk.length;
        }
      },
      zeros: count => {
        if (this.#sparse) this.#sparse.size += count;
      },
    });
  }

  take(chunk: Uint8Array): void {
    if (this.#size + chunk.length > this.#maxBytes) {
      throw new BuildError('hostile', `an archive unpacks to more than ${this.#maxBytes} bytes`);
    }
    write(this.#fd, chunk, this.#size);
    this.#size += chunk.length;
    this.#reader.push(chunk);
  }

  finish(): readonly ArchiveEntry[] {
    this.#reader.finish();
    if (this.#sparse) ftruncateSync(this.#sparse.fd, this.#sparse.size);
    return this.#entries;
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#sparse) closeSync(this.#sparse.fd);
  }

  #begin(entry: TarEntry, offset: number): void {
    const clean = asUnpacked(entry);
    this.#expanding = entry.type === 'file' && offset < 0;
    if (entry.type !== 'file') {
      this.#entries.push({ entry: clean });
      return;
    }
    const { size } = entry;
    if (!this.#expanding) {
      this.#entries.push({ entry: clean, content: { kind: 'range', file: this.#to, offset, size } });
      return;
    }
    const file = `${this.#to}.sparse`;
    this.#sparse ??= { fd: openSync(file, 'wx', 0o600), size: 0 };
    this.#entries.push({ entry: clean, content: { kind: 'range', file, offset: this.#sparse.size, size } });
  }
}

/** As the entry would be on disk: a symlink's mode means nothing, and not every attribute may be set. */
function asUnpacked(entry: TarEntry): Entry {
  const { xattrs, ...rest } = entry;
  const kept = Object.entries(xattrs ?? {}).filter(([name]) => isKeptXattr(name));
  const mode = entry.type === 'symlink' ? 0o777 : entry.mode;
  return { ...rest, mode, ...(kept.length > 0 ? { xattrs: Object.fromEntries(kept) } : {}) };
}

function write(fd: number, bytes: Uint8Array, position: number): void {
  try {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(fd, bytes, done, bytes.length - done, position + done);
    }
  } catch (error) {
    throw new BuildError('store', `cannot keep an archive: ${messageOf(error)}`, { cause: error });
  }
}
