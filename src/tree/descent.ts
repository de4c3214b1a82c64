// Going down into directories and up again by descriptor, however deep: a bounded number of descriptors is open, no
// path is ever used twice, no link is followed and no mount is entered.
import { closeSync, constants, readdirSync } from 'node:fs';
import { BuildError, printable } from '../errors.ts';
import { SystemError } from '../host/ffi.ts';
import { procPath, resolveFlags, statAt, tryOpenAt, tryOpenAt2 } from '../host/fs-calls.ts';
import { type BytePath, showPath } from './entry.ts';
import { resolver } from './resolve.ts';

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const crossesMount = 18; // EXDEV
const maxOpen = 32;

interface Level {
  readonly name: string;
  /** -1 while closed to save descriptors. */
  fd: number;
  readonly identity: string;
}

export class Descent {
  readonly #levels: Level[] = [];

  /** @param rootFd an open directory; stays the caller's */
  constructor(rootFd: number) {
    this.#levels.push({ name: '', fd: rootFd, identity: identityOf(rootFd) });
  }

  /** Descriptor of the directory we are in. */
  get fd(): number {
    return this.#top().fd;
  }

  /** 0 in the root. */
  get depth(): number {
    return this.#levels.length - 1;
  }

  /** Of the directory we are in; '' for the root. */
  get name(): string {
    return this.#top().name;
  }

  /** Where we are, below the root. */
  get path(): BytePath {
    return this.#levels
      .slice(1)
      .map(level => level.name)
      .join('/') as BytePath;
  }

  /** @returns names in byte order */
  names(): string[] {
    return readdirSync(procPath(this.fd, ''), { encoding: 'latin1' }).sort(byBytes);
  }

  /**
   * Goes into a directory.
   * @returns 0, or minus errno: -ENOTDIR or -ELOOP when it is something else, -EACCES, ...
   * @throws BuildError `hostile` when something is mounted there
   */
  tryEnter(name: string): number {
    const fd = openChild(this.fd, name);
    if (fd === -crossesMount) {
      throw new BuildError(
        'hostile',
        `something is mounted at '${printable(showPath(name))}', which is not entered`,
      );
    }
    if (fd < 0) return fd;
    this.#levels.push({ name, fd, identity: identityOf(fd) });
    const old = this.#levels[this.#levels.length - 1 - maxOpen];
    if (old !== undefined && old !== this.#levels[0] && old.fd >= 0) {
      closeSync(old.fd);
      old.fd = -1;
    }
    return 0;
  }

  /** Goes up. @throws SystemError when the directory was moved meanwhile */
  leave(): void {
    const left = this.#levels.pop();
    const top = this.#top();
    if (left === undefined) return;
    if (top.fd < 0) {
      const fd = tryOpenAt(left.fd, '..', directoryFlags);
      if (fd < 0 || identityOf(fd) !== top.identity) {
        closeSync(left.fd);
        if (fd >= 0) closeSync(fd);
        throw new SystemError(fd < 0 ? -fd : 116, 'openat', '..'); // ESTALE
      }
      top.fd = fd;
    }
    closeSync(left.fd);
  }

  /** Closes everything but the root. */
  close(): void {
    for (const level of this.#levels.splice(1)) {
      if (level.fd >= 0) closeSync(level.fd);
    }
  }

  #top(): Level {
    const top = this.#levels.at(-1);
    if (top === undefined) throw new BuildError('internal', 'left the root of a walk');
    return top;
  }
}

function openChild(dirFd: number, name: string): number {
  if (resolver() === 'kernel') {
    const resolve = resolveFlags.noXdev | resolveFlags.noSymlinks | resolveFlags.beneath;
    return tryOpenAt2(dirFd, name, directoryFlags, 0, resolve);
  }
  const fd = tryOpenAt(dirFd, name, directoryFlags);
  if (fd >= 0 && statAt(fd, '').dev !== statAt(dirFd, '').dev) {
    closeSync(fd);
    return -crossesMount;
  }
  return fd;
}

function identityOf(fd: number): string {
  const { dev, ino } = statAt(fd, '');
  return `${dev}:${ino}`;
}

/** Order of latin1 strings by their bytes. */
export function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
