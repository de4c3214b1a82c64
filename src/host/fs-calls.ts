// File system calls relative to a directory descriptor, on names that are bytes: what node:fs does not have. Each is
// the call of the same name in openat(2), openat2(2), mknodat(2), utimensat(2), statx(2), xattr(7); a call through
// koffi costs a tenth of a microsecond, less than node:fs spends on its own.
// Names are latin1 strings, one character per byte. Errors are SystemErrors with `code`.
import { check, declareC, lastErrno, SystemError } from './ffi.ts';

/** Numbers of Linux that node:fs.constants lacks; the same on all architectures that Node runs on. */
export const atFlags = {
  symlinkNoFollow: 0x100,
  removeDir: 0x200,
  emptyPath: 0x1000,
} as const;

export const resolveFlags = {
  noXdev: 0x01,
  noMagicLinks: 0x02,
  noSymlinks: 0x04,
  beneath: 0x08,
  inRoot: 0x10,
} as const;

/** Open flags; O_PATH and O_CLOEXEC are missing in node. */
export const openFlags = { path: 0o10000000, closeOnExec: 0o2000000 } as const;

/** The working directory as a descriptor, for absolute paths. */
export const cwdFd = -100;

/** Of syscall(2); numbers above 424 are the same everywhere. */
const openat2Number = 437;

type CFunction = (...args: unknown[]) => number;

const declared = new Map<string, CFunction>();

/** Declares at the first call, so that a process that needs none of this does not load koffi. */
function c(prototype: string): CFunction {
  let call = declared.get(prototype);
  if (call === undefined) {
    call = declareC(prototype);
    declared.set(prototype, call);
  }
  return call;
}

/** A name as a C string. @throws SystemError EINVAL when a NUL would end it early */
export function cName(name: string): Buffer {
  if (name.includes('\0')) throw new SystemError(22, 'open', name);
  return Buffer.from(`${name}\0`, 'latin1');
}

/** @returns a descriptor (closed on exec), or minus errno: callers expect some failures */
export function tryOpenAt(dirFd: number, name: string, flags: number, mode = 0): number {
  const call = c('int openat(int dirfd, const void *path, int flags, uint mode)');
  const fd = call(dirFd, cName(name), flags | openFlags.closeOnExec, mode);
  return fd < 0 ? -lastErrno() : fd;
}

/** @throws SystemError */
export function openAt(dirFd: number, name: string, flags: number, mode = 0): number {
  return orThrow(tryOpenAt(dirFd, name, flags, mode), 'openat', name);
}

const how = Buffer.alloc(24);

/** openat2(2). @returns a descriptor (closed on exec), or minus errno */
export function tryOpenAt2(
  dirFd: number,
  path: string,
  flags: number,
  mode: number,
  resolve: number,
): number {
  const call = c('long syscall(long nr, long dirfd, const void *path, const void *how, ulong size)');
  how.writeUInt32LE((flags | openFlags.closeOnExec) >>> 0, 0);
  how.writeUInt32LE(mode, 8);
  how.writeUInt32LE(resolve, 16);
  const fd = call(openat2Number, dirFd, cName(path === '' ? '.' : path), how, how.length);
  return fd < 0 ? -lastErrno() : fd;
}

/** `result` unless it is negative, then the error that it stands for. */
export function orThrow(result: number, syscall: string, name: string): number {
  if (result < 0) throw new SystemError(-result, syscall, name);
  return result;
}

export function mkdirAt(dirFd: number, name: string, mode: number): void {
  orThrow(tryMkdirAt(dirFd, name, mode), 'mkdirat', name);
}

/** @returns 0, or minus errno */
export function tryMkdirAt(dirFd: number, name: string, mode: number): number {
  const result = c('int mkdirat(int dirfd, const void *path, uint mode)')(dirFd, cName(name), mode);
  return result < 0 ? -lastErrno() : 0;
}

/** @returns 0, or minus errno */
export function trySymlinkAt(target: string, dirFd: number, name: string): number {
  const call = c('int symlinkat(const void *target, int dirfd, const void *path)');
  return call(cName(target), dirFd, cName(name)) < 0 ? -lastErrno() : 0;
}

/** A symlink as source is linked itself, never followed. @returns 0, or minus errno */
export function tryLinkAt(fromFd: number, from: string, toFd: number, to: string): number {
  const call = c('int linkat(int from, const void *old, int to, const void *name, int flags)');
  return call(fromFd, cName(from), toFd, cName(to), 0) < 0 ? -lastErrno() : 0;
}

/**
 * @param mode type and permission bits, S_IFCHR | 0o600
 * @returns 0, or minus errno
 */
export function tryMknodAt(dirFd: number, name: string, mode: number, major: number, minor: number): number {
  const device = deviceNumber(major, minor);
  // Before version 2.33 the C library had it under another name only.
  let call: CFunction;
  try {
    call = c('int mknodat(int dirfd, const void *path, uint mode, uint64_t dev)');
  } catch {
    const versioned = c(
      'int __xmknodat(int version, int dirfd, const void *path, uint mode, const void *dev)',
    );
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(BigInt(device));
    call = (dir, path, type) => versioned(0, dir, path, type, value);
  }
  return call(dirFd, cName(name), mode, device) < 0 ? -lastErrno() : 0;
}

/** dev_t of the C library: minor 8 bits, major 12, minor 12 more. */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + ((major & 0xfff) << 8) + Math.floor(minor / 256) * 2 ** 20;
}

/** @param flags 0 or atFlags.removeDir; @returns 0, or minus errno */
export function tryUnlinkAt(dirFd: number, name: string, flags = 0): number {
  const result = c('int unlinkat(int dirfd, const void *path, int flags)')(dirFd, cName(name), flags);
  return result < 0 ? -lastErrno() : 0;
}

/** Does not follow a link. */
export function chownAt(dirFd: number, name: string, uid: number, gid: number): void {
  const call = c('int fchownat(int dirfd, const void *path, uint uid, uint gid, int flags)');
  check(call(dirFd, cName(name), uid, gid, atFlags.symlinkNoFollow), 'fchownat', name);
}

/** Follows a link: only for names that were just made and are none. */
export function chmodAt(dirFd: number, name: string, mode: number): void {
  check(
    c('int fchmodat(int dirfd, const void *path, uint mode, int flags)')(dirFd, cName(name), mode, 0),
    'fchmodat',
    name,
  );
}

const times = Buffer.alloc(32);

function setTimes(sec: number, nsec: number): void {
  times.writeBigInt64LE(BigInt(sec), 0);
  times.writeBigInt64LE(BigInt(nsec), 8);
  times.copy(times, 16, 0, 16);
}

/** Sets access and modification time of a name, not following a link; seconds may be negative. */
export function setTimesAt(dirFd: number, name: string, sec: number, nsec: number): void {
  setTimes(sec, nsec);
  const call = c('int utimensat(int dirfd, const void *path, const void *times, int flags)');
  check(call(dirFd, cName(name), times, atFlags.symlinkNoFollow), 'utimensat', name);
}

/** As {@link setTimesAt} for an open file. */
export function setTimesOf(fd: number, sec: number, nsec: number): void {
  setTimes(sec, nsec);
  check(c('int futimens(int fd, const void *times)')(fd, times), 'futimens');
}

// Extended attributes. Values are latin1 strings too.

/** @returns 0, or minus errno */
export function trySetXattr(fd: number, name: string, value: string): number {
  const call = c('int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)');
  const bytes = Buffer.from(value, 'latin1');
  return call(fd, cName(name), bytes, bytes.length, 0) < 0 ? -lastErrno() : 0;
}

const xattrBuffer = Buffer.alloc(65536);
const errnoNoData = 61;
const errnoNotSupported = 95;
const errnoNoSuchFile = 2;

/** Attribute names of a path whose last component is not followed; empty where the file system has none. */
export function listXattrs(path: string): string[] {
  const call = c('long llistxattr(const void *path, void *list, size_t size)');
  const length = call(cName(path), xattrBuffer, xattrBuffer.length);
  if (length === 0) return [];
  if (length < 0) {
    if (lastErrno() === errnoNotSupported) return [];
    throw new SystemError(lastErrno(), 'llistxattr', path);
  }
  return xattrBuffer.toString('latin1', 0, length - 1).split('\0');
}

/** One attribute of a path whose last component is not followed; undefined when it has none of that name. */
export function getXattr(path: string, name: string): string | undefined {
  const call = c('long lgetxattr(const void *path, const void *name, void *value, size_t size)');
  const length = call(cName(path), cName(name), xattrBuffer, xattrBuffer.length);
  if (length >= 0) return xattrBuffer.toString('latin1', 0, length);
  const errno = lastErrno();
  if (errno === errnoNoData || errno === errnoNotSupported || errno === errnoNoSuchFile) return undefined;
  throw new SystemError(errno, 'lgetxattr', path);
}

/** The text of a symlink opened with O_PATH | O_NOFOLLOW. */
export function readLinkOf(fd: number): string {
  const buffer = Buffer.alloc(4096);
  const call = c('long readlinkat(int dirfd, const void *path, void *buffer, size_t size)');
  const length = check(call(fd, cName(''), buffer, buffer.length), 'readlinkat');
  return buffer.toString('latin1', 0, length);
}

/** The text of the symlink `name`. */
export function readLinkAt(dirFd: number, name: string): string {
  const buffer = Buffer.alloc(4096);
  const call = c('long readlinkat(int dirfd, const void *path, void *buffer, size_t size)');
  const length = check(call(dirFd, cName(name), buffer, buffer.length), 'readlinkat', name);
  return buffer.toString('latin1', 0, length);
}

/** What statx(2) says. */
export interface FileStat {
  /** Type and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Inode as a decimal text; numbers above 2^53 occur. */
  readonly ino: string;
  readonly dev: string;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

const statBuffer = Buffer.alloc(256);
const basicStats = 0x7ff;

/** @returns what the name is (a link itself, not what it leads to), or minus errno */
export function tryStatAt(dirFd: number, name: string): FileStat | number {
  const call = c('int statx(int dirfd, const void *path, int flags, uint mask, void *buffer)');
  const flags = name === '' ? atFlags.emptyPath : atFlags.symlinkNoFollow;
  if (call(dirFd, cName(name), flags, basicStats, statBuffer) < 0) return -lastErrno();
  const b = statBuffer;
  return {
    mode: b.readUInt16LE(28),
    nlink: b.readUInt32LE(16),
    uid: b.readUInt32LE(20),
    gid: b.readUInt32LE(24),
    size: b.readUInt32LE(40) + b.readUInt32LE(44) * 2 ** 32,
    ino: b.readUInt32LE(36) === 0 ? String(b.readUInt32LE(32)) : String(b.readBigUInt64LE(32)),
    dev: `${b.readUInt32LE(136)}:${b.readUInt32LE(140)}`,
    mtimeSec: b.readUInt32LE(112) + b.readInt32LE(116) * 2 ** 32,
    mtimeNsec: b.readUInt32LE(120),
    devMajor: b.readUInt32LE(128),
    devMinor: b.readUInt32LE(132),
  };
}

/** @throws SystemError */
export function statAt(dirFd: number, name: string): FileStat {
  const found = tryStatAt(dirFd, name);
  if (typeof found === 'number') throw new SystemError(-found, 'statx', name);
  return found;
}

/** Path that leads to `name` in an open directory whatever happens to the directory's own path. */
export function procPath(dirFd: number, name: string): string {
  return name === '' ? `/proc/self/fd/${dirFd}` : `/proc/self/fd/${dirFd}/${name}`;
}
