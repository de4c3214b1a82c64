// sha256 of files below a directory that is not trusted: every component is opened without following a link, through
// the descriptor of the directory before it.
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { type Digest, digestFromHash, digestOf } from '../image/digest.ts';
import { type ContentSource, showPath } from '../tree/entry.ts';

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
    const fd = source.kind === 'range' ? openSync(source.file, 'r') : openBelow(source.root, source.path);
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

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens a regular file for reading; never blocks on a fifo.
 * @throws a system error, ELOOP or ENOTDIR when a component is a link
 */
export function openBelow(root: string, path: string): number {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let directory = openSync(root, O_RDONLY | O_DIRECTORY);
  try {
    for (const name of names) {
      const next = openSync(at(directory, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      closeSync(directory);
      directory = next;
    }
    const fd = openSync(at(directory, last), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    throw new Error('it is no regular file');
  } finally {
    closeSync(directory);
  }
}

function at(directory: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory}/${name}`, 'latin1');
}
