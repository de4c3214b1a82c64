// Reads the bytes of files, wherever they are, in pieces and with synchronous calls. For worker threads.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { openFlags, orThrow } from '../host/fs-calls.ts';
import { type BytePath, type ContentSource, showPath } from '../tree/entry.ts';
import { openRoot, tryOpenLiteral } from '../tree/resolve.ts';

const chunkBytes = 1024 * 1024;

/** One per thread; a chunk is valid until the next is read. */
let buffer: Buffer | undefined;

/**
 * Holds on to the file and the directory that it read from last: reading 10,000 files out of one tar, or one tree, opens
 * it once.
 */
export class ContentReader {
  #file: Held | undefined;
  #root: Held | undefined;

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
        this.#file = held(this.#file, source.file, path => openSync(path, 'r'));
        readRange(this.#file.fd, source.offset, source.size, name, sink);
        return;
      case 'in-tree':
        if (source.size > 0) this.#readInTree(source, name, sink);
        return;
    }
  }

  close(): void {
    for (const { fd } of [this.#file, this.#root].filter(h => h !== undefined)) closeSync(fd);
    this.#file = undefined;
    this.#root = undefined;
  }

  #readInTree(source: InTree, name: string, sink: (chunk: Uint8Array) => void): void {
    let fd = -1;
    try {
      this.#root = held(this.#root, source.root, openRoot);
      fd = openRegular(this.#root.fd, source.path, name);
      readRange(fd, 0, source.size, name, sink);
    } catch (error) {
      throw unreadable(error, name);
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }
}

interface Held {
  readonly path: string;
  readonly fd: number;
}

function held(before: Held | undefined, path: string, open: (path: string) => number): Held {
  if (before?.path === path) return before;
  const fd = open(path);
  if (before) closeSync(before.fd);
  return { path, fd };
}

type InTree = Extract<ContentSource, { kind: 'in-tree' }>;

/** Looks before it opens, because opening a device or a fifo may do something. */
function openRegular(rootFd: number, path: BytePath, name: string): number {
  const seen = orThrow(
    tryOpenLiteral(rootFd, path, openFlags.path | constants.O_NOFOLLOW),
    'open',
    showPath(path),
  );
  try {
    if (!fstatSync(seen).isFile()) throw changed(name, 'was replaced');
    // /proc/self/fd leads to the very file that was looked at.
    return openSync(`/proc/self/fd/${seen}`, 'r');
  } finally {
    closeSync(seen);
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
