// The bytes of a file of an image, in pieces, so that no file is held in memory whole.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, printable } from '../errors.ts';
import { type ContentSource, showPath } from '../tree/entry.ts';
import { openInTree } from '../tree/resolve.ts';

const chunkBytes = 1024 * 1024;

/**
 * @returns the announced bytes; each piece is valid until the next one is asked for
 * @throws BuildError `store` when there are fewer
 */
export function* chunksOf(source: ContentSource, path: string): Generator<Uint8Array> {
  if (source.kind === 'bytes') {
    yield source.bytes;
    return;
  }
  if (source.size === 0) return;
  const fd = source.kind === 'range' ? openSync(source.file, 'r') : openInTree(source.root, source.path);
  try {
    if (!fstatSync(fd).isFile()) throw short(path, 0, source.size);
    const start = source.kind === 'range' ? source.offset : 0;
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, source.size));
    for (let done = 0; done < source.size; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, source.size - done), start + done);
      if (count === 0) throw short(path, done, source.size);
      yield buffer.subarray(0, count);
      done += count;
    }
  } finally {
    closeSync(fd);
  }
}

function short(path: string, found: number, expected: number): BuildError {
  return new BuildError('store', `the content of /${printable(showPath(path))} in the store is damaged`, {
    hint: 'build again with --no-cache',
    facts: { path: showPath(path), expected, found },
  });
}
