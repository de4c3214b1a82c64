// Times of files to the nanosecond, which node:fs cannot set.
import { check, declareC } from './ffi.ts';

const AT_FDCWD = -100;
const UTIME_OMIT = 0x3ffffffen;
const SECOND = 1_000_000_000n;

/**
 * Sets the modification time and leaves the access time alone; a symlink at the end is followed.
 * @param mtimeNs nanoseconds since 1970, may be negative
 * @throws SystemError
 */
export function setMtime(path: string, mtimeNs: bigint): void {
  const nanos = ((mtimeNs % SECOND) + SECOND) % SECOND;
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(UTIME_OMIT, 8);
  times.writeBigInt64LE((mtimeNs - nanos) / SECOND, 16);
  times.writeBigInt64LE(nanos, 24);
  const set = declareC('int utimensat(int dir, const void *path, const void *times, int flags)');
  check(set(AT_FDCWD, Buffer.from(`${path}\0`), times, 0), 'utimensat', path);
}
