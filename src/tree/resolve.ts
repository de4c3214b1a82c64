// Opening a path in a directory that we do not trust. Whether a symlink leads out is decided by the kernel
// (openat2(2), RESOLVE_IN_ROOT), never by looking at strings; where the kernel has no openat2, by walking one component
// at a time with descriptors. https://man7.org/linux/man-pages/man2/openat2.2.html
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, printable } from '../errors.ts';
import { SystemError } from '../host/ffi.ts';
import {
  cwdFd,
  openFlags,
  orThrow,
  readLinkOf,
  resolveFlags,
  tryMkdirAt,
  tryOpenAt,
  tryOpenAt2,
} from '../host/fs-calls.ts';
import { type BytePath, showPath } from './entry.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const O_PATH = openFlags.path;
const errno = { noEntry: 2, again: 11, invalid: 22, exists: 17, loop: 40, notDirectory: 20 } as const;
/** As many links as the kernel follows. */
const maxLinks = 40;
/** openat2 gives up with EAGAIN while something in the tree is being renamed. */
const maxAttempts = 64;
/** Linux takes paths up to 4095 bytes in a call. */
const maxCallBytes = 4000;
const fileTypeMask = 0o170000;
const symlinkType = 0o120000;

/** Which way paths are resolved; tests try both. */
export type Resolver = 'kernel' | 'walk';

let probed: Resolver | undefined;

/** 'kernel' where openat2 works: Linux 5.6 and no filter that forbids it. */
export function resolver(): Resolver {
  if (probed === undefined) {
    const fd = tryOpenAt2(cwdFd, '/', O_PATH, 0, resolveFlags.inRoot);
    if (fd >= 0) closeSync(fd);
    probed = fd >= 0 ? 'kernel' : 'walk';
  }
  return probed;
}

/**
 * Opens a path as a process would that has `rootFd` as its root directory: symlinks are followed, absolute ones and
 * `..` end at the root. Unless `flags` has O_NOFOLLOW the last component is followed too.
 * @param flags as for open(2) without O_CREAT; O_CLOEXEC is added
 * @returns a descriptor that the caller closes, or minus errno
 */
export function tryOpenInRoot(rootFd: number, path: string, flags: number, how = resolver()): number {
  if (how === 'kernel' && path.length <= maxCallBytes) {
    const resolve = resolveFlags.inRoot | resolveFlags.noMagicLinks;
    for (let i = 0; i < maxAttempts; i++) {
      const fd = tryOpenAt2(rootFd, path, flags, 0, resolve);
      if (fd !== -errno.again) return fd;
    }
  }
  if (how === 'kernel' && path.length > maxCallBytes) {
    // Too long for one call, but where no link is in the way a few calls do it.
    const fd = tryOpenLiteral(rootFd, path, flags, how);
    if (fd !== -errno.loop) return fd;
  }
  return new Walk(rootFd, false).open(path, flags);
}

/** As {@link tryOpenInRoot}. @throws SystemError */
export function openInRoot(rootFd: number, path: string, flags: number, how = resolver()): number {
  return orThrow(tryOpenInRoot(rootFd, path, flags, how), 'open', path);
}

/**
 * Opens a directory in the root, making what is missing with mode 0755, also behind a dangling link.
 * @param made called with the literal path of each directory that was made
 * @returns an O_PATH descriptor, or minus errno
 */
export function tryMakeInRoot(
  rootFd: number,
  path: string,
  made: (literal: string) => void,
  how = resolver(),
): number {
  const fd = tryOpenInRoot(rootFd, path, O_PATH | O_DIRECTORY, how);
  if (fd !== -errno.noEntry) return fd;
  return new Walk(rootFd, true, made).open(path, O_PATH | O_DIRECTORY);
}

/** Resolution by hand, one component at a time. Holds one descriptor; `..` walks again from the root. */
class Walk {
  readonly #rootFd: number;
  readonly #make: boolean;
  readonly #made: (literal: string) => void;
  /** Components of the directory reached so far, all real directories. */
  #literal: string[] = [];
  #fd = -1;
  #links = 0;

  constructor(rootFd: number, make: boolean, made: (literal: string) => void = () => {}) {
    this.#rootFd = rootFd;
    this.#make = make;
    this.#made = made;
  }

  open(path: string, flags: number): number {
    this.#fd = orThrow(tryOpenAt(this.#rootFd, '.', O_PATH | O_DIRECTORY), 'openat', '.');
    try {
      return this.#walk(
        path.split('/').filter(part => part !== '' && part !== '.'),
        flags,
      );
    } finally {
      closeSync(this.#fd);
    }
  }

  #walk(first: readonly string[], flags: number): number {
    let rest = [...first];
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      if (part === '..') {
        const failed = this.#restart(this.#literal.slice(0, -1));
        if (failed < 0) return failed;
        continue;
      }
      const isLast = rest.length === 0;
      const fd = this.#openPart(part);
      if (fd < 0) return fd;
      const type = fstatSync(fd).mode & fileTypeMask;
      if (type === symlinkType && !(isLast && (flags & O_NOFOLLOW) !== 0)) {
        const failed = this.#follow(fd, rest);
        if (typeof failed !== 'number') rest = failed;
        else return failed;
        continue;
      }
      if (isLast) {
        closeSync(fd);
        return tryOpenAt(this.#fd, part, flags | O_NOFOLLOW);
      }
      if (type !== constants.S_IFDIR) {
        closeSync(fd);
        return -errno.notDirectory;
      }
      this.#enter(fd, part);
    }
    return tryOpenAt(this.#fd, '.', flags);
  }

  #openPart(part: string): number {
    const fd = tryOpenAt(this.#fd, part, O_PATH | O_NOFOLLOW);
    if (fd !== -errno.noEntry || !this.#make) return fd;
    const failed = tryMkdirAt(this.#fd, part, 0o755);
    if (failed < 0 && failed !== -errno.exists) return failed;
    if (failed === 0) this.#made([...this.#literal, part].join('/'));
    return tryOpenAt(this.#fd, part, O_PATH | O_NOFOLLOW);
  }

  #enter(fd: number, part: string): void {
    closeSync(this.#fd);
    this.#fd = fd;
    this.#literal.push(part);
  }

  /** @returns what is left to walk with the link's text in front, or minus errno */
  #follow(fd: number, rest: readonly string[]): string[] | number {
    const text = readLinkOf(fd);
    closeSync(fd);
    if (++this.#links > maxLinks) return -errno.loop;
    if (text.startsWith('/')) {
      const failed = this.#restart([]);
      if (failed < 0) return failed;
    }
    return [...text.split('/').filter(part => part !== '' && part !== '.'), ...rest];
  }

  /** Goes to a directory known to be literal; a link in the way means that somebody is changing the tree. */
  #restart(literal: readonly string[]): number {
    let fd = tryOpenAt(this.#rootFd, '.', O_PATH | O_DIRECTORY);
    for (const part of literal) {
      if (fd < 0) return fd;
      const next = tryOpenAt(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      closeSync(fd);
      fd = next;
    }
    if (fd < 0) return fd;
    closeSync(this.#fd);
    this.#fd = fd;
    this.#literal = [...literal];
    return 0;
  }
}

/**
 * Opens a literal path: a symlink in any component is an error (ELOOP or ENOTDIR).
 * @returns a descriptor that the caller closes, or minus errno
 */
export function tryOpenLiteral(rootFd: number, path: string, flags: number, how = resolver()): number {
  if (how === 'walk') return walkLiteral(rootFd, path, flags);
  let dirFd = rootFd;
  let rest = path;
  // A call takes 4095 bytes; a longer literal path can be cut anywhere.
  while (rest.length > maxCallBytes) {
    const cut = rest.lastIndexOf('/', maxCallBytes);
    const next = openLiteralPart(dirFd, rest.slice(0, cut), O_PATH | O_DIRECTORY);
    if (dirFd !== rootFd) closeSync(dirFd);
    if (next < 0) return next;
    dirFd = next;
    rest = rest.slice(cut + 1);
  }
  const fd = openLiteralPart(dirFd, rest, flags);
  if (dirFd !== rootFd) closeSync(dirFd);
  return fd;
}

function openLiteralPart(dirFd: number, path: string, flags: number): number {
  const resolve = resolveFlags.noSymlinks | resolveFlags.beneath | resolveFlags.noMagicLinks;
  let fd = -errno.again;
  for (let i = 0; i < maxAttempts && fd === -errno.again; i++)
    fd = tryOpenAt2(dirFd, path, flags, 0, resolve);
  return fd === -errno.again ? walkLiteral(dirFd, path, flags) : fd;
}

function walkLiteral(rootFd: number, path: string, flags: number): number {
  const parts = path.split('/').filter(part => part !== '');
  const last = parts.pop();
  let dirFd = tryOpenAt(rootFd, '.', O_PATH | O_DIRECTORY);
  for (const part of parts) {
    if (dirFd < 0) return dirFd;
    const next = part === '..' ? -errno.invalid : tryOpenAt(dirFd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    closeSync(dirFd);
    dirFd = next;
  }
  if (dirFd < 0) return dirFd;
  const fd = last === '..' ? -errno.invalid : tryOpenAt(dirFd, last ?? '.', flags | O_NOFOLLOW);
  closeSync(dirFd);
  return fd;
}

/**
 * Opens a directory whose path we chose ourselves, to be the root of what follows.
 * @throws a system error
 */
export function openRoot(root: string): number {
  return openSync(root, O_RDONLY | O_DIRECTORY);
}

/**
 * Opens what is at a literal path below `root` for reading, without following a link in any component and without
 * waiting for a fifo's writer. The caller checks what it got.
 * @throws SystemError ELOOP or ENOTDIR where a link is in the way, ENOENT, EACCES, ...
 */
export function openInTree(root: string, path: BytePath): number {
  const rootFd = openRoot(root);
  try {
    const fd = tryOpenLiteral(rootFd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    return orThrow(fd, 'open', showPath(path));
  } finally {
    closeSync(rootFd);
  }
}

/** A regular file, open for reading. */
export interface OpenFile {
  readonly fd: number;
  readonly size: number;
  close(): void;
}

/**
 * As {@link openInTree}, for regular files only: a device or fifo is opened just far enough to see what it is.
 * @throws BuildError `hostile` when it is something else or a link is in the way, SystemError otherwise
 */
export function openFileInTree(root: string, path: BytePath): OpenFile {
  const shown = printable(showPath(path));
  let fd: number;
  try {
    fd = openRegular(root, path);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== 'ELOOP') throw error;
    throw new BuildError('hostile', `'${shown}' is not read because there is a symlink in its path`, {
      cause: error,
      facts: { path: shown },
    });
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    throw new BuildError('hostile', `'${shown}' is not an ordinary file`, { facts: { path: shown } });
  }
  return { fd, size: stat.size, close: () => closeSync(fd) };
}

/** Looks before it opens, since opening a device may do something. Both looks are at the same parent directory. */
function openRegular(root: string, path: BytePath): number {
  const rootFd = openRoot(root);
  try {
    const seen = orThrow(tryOpenLiteral(rootFd, path, O_PATH | O_NOFOLLOW), 'open', showPath(path));
    try {
      const stat = fstatSync(seen);
      if (stat.isSymbolicLink()) throw new SystemError(errno.loop, 'open', showPath(path));
      // /proc/self/fd leads to the very file that was looked at.
      return stat.isFile() ? openSync(`/proc/self/fd/${seen}`, O_RDONLY | O_NONBLOCK) : openNothing();
    } finally {
      closeSync(seen);
    }
  } finally {
    closeSync(rootFd);
  }
}

/** A descriptor that is no regular file. */
function openNothing(): number {
  return openSync('/', O_RDONLY | O_DIRECTORY);
}

/**
 * The bytes of a small regular file below `root`, no link followed.
 * @param maxBytes default 10 MiB
 * @throws BuildError `hostile` when it is something else, or larger; SystemError otherwise
 */
export function readInTree(root: string, path: BytePath, maxBytes = 10 * 1024 * 1024): Buffer {
  const file = openFileInTree(root, path);
  try {
    if (file.size > maxBytes) {
      throw new BuildError(
        'hostile',
        `'${printable(showPath(path))}' has over ${maxBytes} bytes, which is too much for what it is`,
      );
    }
    const buffer = Buffer.alloc(file.size);
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(file.fd, buffer, done, buffer.length - done, done);
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  } finally {
    file.close();
  }
}
