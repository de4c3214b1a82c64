// sha256 of contents, one after the other in this thread; files below a directory that is not trusted are opened without
// following a link in any component.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { type Digest, digestFromHash, digestOf } from '../image/digest.ts';
import { type ContentSource, showPath } from '../tree/entry.ts';
import { openFileInTree } from '../tree/resolve.ts';

const chunkBytes = 1024 * 1024;
/** After so many bytes timers and signals get their turn. */
const turnBytes = 32 * 1024 * 1024;

/** @throws BuildError `context` for a file that cannot be read or has changed since it was listed */
export async function hashInTree(sources: readonly ContentSource[]): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let sinceTurn = 0;
  for (const source of sources) {
    digests.push(hashOne(source, chunk));
    sinceTurn += source.kind === 'bytes' ? source.bytes.length : source.size;
    if (sinceTurn < turnBytes) continue;
    sinceTurn = 0;
    await new Promise<void>(resolve => setImmediate(resolve));
  }
  return digests;
}

function hashOne(source: ContentSource, chunk: Buffer): Digest {
  if (source.kind === 'bytes') return digestOf(source.bytes);
  const path = source.kind === 'range' ? source.file : source.path;
  try {
    const fd =
      source.kind === 'range' ? openSync(source.file, 'r') : openFileInTree(source.root, source.path).fd;
    try {
      return hashRange(fd, source.kind === 'range' ? source.offset : 0, source.size, chunk);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new BuildError('context', `cannot read "${printable(showPath(path))}": ${messageOf(error)}`, {
      cause: error,
      facts: { path: showPath(path), errno: errnoOf(error) },
    });
  }
}

function hashRange(fd: number, offset: number, size: number, chunk: Buffer): Digest {
  const hash = createHash('sha256');
  for (let done = 0; done < size; ) {
    const read = readSync(fd, chunk, 0, Math.min(chunk.length, size - done), offset + done);
    if (read === 0) throw new Error('it became shorter while it was read');
    hash.update(chunk.subarray(0, read));
    done += read;
  }
  return digestFromHash(hash.digest('hex'));
}
