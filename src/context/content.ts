// The bytes behind a ContentSource, in pieces; files below a directory that is not trusted are opened without following
// a link in any component.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { type Digest, digestFromHash, digestOf } from '../image/digest.ts';
import { type ContentSource, showPath } from '../tree/entry.ts';
import { openFileInTree } from '../tree/resolve.ts';

const chunkBytes = 1024 * 1024;
/** After so many bytes timers and signals get their turn. */
const turnBytes = 32 * 1024 * 1024;

/**
 * sha256 of each source, one after the other in this thread.
 * @throws BuildError `context` for a file that cannot be read or became shorter since it was listed
 */
export async function hashContents(sources: readonly ContentSource[]): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let sinceTurn = 0;
  for (const source of sources) {
    digests.push(hashOne(source, chunk));
    sinceTurn += sizeOf(source);
    if (sinceTurn < turnBytes) continue;
    sinceTurn = 0;
    await nextTurn();
  }
  return digests;
}

function hashOne(source: ContentSource, chunk: Buffer): Digest {
  if (source.kind === 'bytes') return digestOf(source.bytes);
  const hash = createHash('sha256');
  for (const piece of pieces(source, chunk)) hash.update(piece);
  return digestFromHash(hash.digest('hex'));
}

/** Chunks are only valid until the next one. @throws BuildError as {@link hashContents} */
export async function* readContent(source: ContentSource): AsyncGenerator<Uint8Array> {
  if (source.kind === 'bytes') {
    yield source.bytes;
    return;
  }
  for (const piece of pieces(source, Buffer.allocUnsafe(chunkBytes))) {
    yield piece;
    await nextTurn();
  }
}

function* pieces(source: Exclude<ContentSource, { kind: 'bytes' }>, chunk: Buffer): Generator<Buffer> {
  const fd = open(source);
  try {
    const offset = source.kind === 'range' ? source.offset : 0;
    for (let done = 0; done < source.size; ) {
      const read = readSync(fd, chunk, 0, Math.min(chunk.length, source.size - done), offset + done);
      if (read === 0) throw new Error('it became shorter while it was read');
      yield chunk.subarray(0, read);
      done += read;
    }
  } catch (error) {
    throw unreadable(source, error);
  } finally {
    closeSync(fd);
  }
}

function open(source: Exclude<ContentSource, { kind: 'bytes' }>): number {
  try {
    return source.kind === 'range' ? openSync(source.file, 'r') : openFileInTree(source.root, source.path).fd;
  } catch (error) {
    throw unreadable(source, error);
  }
}

function unreadable(source: Exclude<ContentSource, { kind: 'bytes' }>, cause: unknown): unknown {
  if (cause instanceof BuildError) return cause;
  const path = source.kind === 'range' ? source.file : showPath(source.path);
  return new BuildError('context', `cannot read "${printable(path)}": ${messageOf(cause)}`, {
    cause,
    facts: { path, errno: errnoOf(cause) },
  });
}

function sizeOf(source: ContentSource): number {
  return source.kind === 'bytes' ? source.bytes.length : source.size;
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
