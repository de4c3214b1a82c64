// Reads the bytes of files, wherever they are, in pieces and with synchronous calls. For worker threads.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { type ContentSource, showPath } from '../tree/entry.ts';
import { openInTree } from '../tree/resolve.ts';

const chunkBytes = 1024 * 1024;

/** One per thread; a chunk is valid until the next is read. */
let buffer: Buffer | undefined;

/** Files of layers that are opened over and over: reading 10,000 files out of one tar opens it once. */
export class ContentReader {
  #openPath: string | undefined;
  #openFd = -1;

  /**
   * Gives exactly the announced bytes, in chunks that are valid during the call.
   * @param name of the file in messages
   * @throws BuildError `context` when the file became shorter, is gone or is no regular file any more
   */
  read(source: ContentSource, name: string, sink: (chunk: Uint8Array) => void): void {
    switch (source.kind) {
      case 'bytes':
        if (source.bytes.length > 0) sink(source.bytes);
        return;
      case 'range':
        readRange(this.#shared(source.file), source.offset, source.size, name, sink);
        return;
      case 'in-tree':
        readInTree(source, name, sink);
        return;
    }
  }

  close(): void {
    if (this.#openPath !== undefined) closeSync(this.#openFd);
    this.#openPath = undefined;
  }

  #shared(path: string): number {
    if (this.#openPath !== path) {
      this.close();
      this.#openFd = openSync(path, 'r');
      this.#openPath = path;
    }
    return this.#openFd;
  }
}

/** How many bytes a source has. */
export function sizeOf(source: ContentSource): number {
  return source.kind === 'bytes' ? source.bytes.length : source.size;
}

type InTree = Extract<ContentSource, { kind: 'in-tree' }>;

function readInTree(source: InTree, name: string, sink: (chunk: Uint8Array) => void): void {
  if (source.size === 0) return;
  let fd = -1;
  try {
    fd = openInTree(source.root, source.path);
    if (!fstatSync(fd).isFile()) throw changed(name, 'is no regular file any more');
    readRange(fd, 0, source.size, name, sink);
  } catch (error) {
    throw unreadable(error, name);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function unreadable(error: unknown, name: string): BuildError {
  if (error instanceof BuildError) return error;
  const errno = errnoOf(error);
  if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') {
    return changed(name, 'was removed or replaced');
  }
  const why = errno === 'EACCES' || errno === 'EPERM' ? 'permission denied' : messageOf(error);
  return new BuildError('context', `"${show(name)}" cannot be read: ${why}`, {
    cause: error,
    facts: { path: show(name), errno },
  });
}

function readRange(
  fd: number,
  offset: number,
  size: number,
  name: string,
  sink: (chunk: Uint8Array) => void,
): void {
  buffer ??= Buffer.allocUnsafeSlow(chunkBytes);
  for (let done = 0; done < size; ) {
    const count = readSync(fd, buffer, 0, Math.min(chunkBytes, size - done), offset + done);
    if (count === 0) throw changed(name, `became shorter, ${done} of ${size} bytes are left`);
    sink(buffer.subarray(0, count));
    done += count;
  }
}

function changed(name: string, how: string): BuildError {
  return new BuildError('context', `"${show(name)}" ${how} while it was read`, {
    hint: 'run the build again when nothing writes to its files',
    facts: { path: show(name) },
  });
}

function show(name: string): string {
  return printable(showPath(name));
}
