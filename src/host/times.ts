// Times of files to the nanosecond, which node:fs cannot set.
import { check, declareC } from './ffi.ts';

const AT_FDCWD = -100;
const UTIME_OMIT = 0x3ffffffen;
const SECOND = 1_000_000_000n;

const AT_SYMLINK_NOFOLLOW = 0x100;

/**
 * Sets the modification time and leaves the access time alone; a symlink at the end is followed.
 * @param path text or bytes
 * @param mtimeNs nanoseconds since 1970, may be negative
 * @throws SystemError
 */
export function setMtime(path: string | Buffer, mtimeNs: bigint, options: { nofollow?: boolean } = {}): void {
  const nanos = ((mtimeNs % SECOND) + SECOND) % SECOND;
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(UTIME_OMIT, 8);
  times.writeBigInt64LE((mtimeNs - nanos) / SECOND, 16);
  times.writeBigInt64LE(nanos, 24);
  const set = declareC('int utimensat(int dir, const void *path, const void *times, int flags)');
  const name = Buffer.concat([Buffer.from(path as string), Buffer.alloc(1)]);
  const flags = options.nofollow ? AT_SYMLINK_NOFOLLOW : 0;
  check(set(AT_FDCWD, name, times, flags), 'utimensat', String(path));
}
