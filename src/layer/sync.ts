// Makes what was unpacked survive a power failure. One syncfs(2) for a tree costs less than an fsync for each of its
// files, and covers directories, links and attributes, which have no other way; it waits for what others wrote to the
// same file system as well, which is the price.
import { closeSync, openSync } from 'node:fs';
import { check, declareC } from '../host/ffi.ts';

let syncfs: ((fd: number) => number) | undefined;

/** @param path a directory on the file system */
export function syncFileSystem(path: string): void {
  syncfs ??= declareC('int syncfs(int fd)') as (fd: number) => number;
  const fd = openSync(path, 'r');
  try {
    check(syncfs(fd), 'syncfs', path);
  } finally {
    closeSync(fd);
  }
}
