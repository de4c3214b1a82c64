// Paths inside a root file system that we do not trust: every look goes from the root's descriptor without following a
// symlink (openat2(2)), symlinks are read and walked here, so nothing outside can be reached or changed.
import { closeSync, constants, fchmodSync, lstatSync, mkdirSync, openSync, readlinkSync } from 'node:fs';
import { BuildError, errnoOf, printable } from '../errors.ts';
import { constants as osConstants } from '../host/errno.ts';
import { openFlags, orThrow, resolveFlags, tryOpenAt2 } from '../host/fs-calls.ts';

const O_PATH = openFlags.path;
const MOST_LINKS = 40;

/** A directory held open, to be closed. */
export function openRoot(path: string): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/**
 * Opens (O_PATH) what is at a literal path below a root; a symlink at its end is opened itself.
 * @param path components joined by '/', as latin1 bytes; '' is the root
 * @throws SystemError ENOENT, ENOTDIR, or ELOOP for a symlink on the way
 */
export function openLiteral(root: number, path: string): number {
  const resolve = resolveFlags.noSymlinks | resolveFlags.noMagicLinks | resolveFlags.beneath;
  // EAGAIN: something in the tree was renamed meanwhile and the kernel is not sure; it asks to try again.
  for (let attempt = 0; ; attempt++) {
    const fd = tryOpenAt2(root, path, O_PATH | constants.O_NOFOLLOW, 0, resolve);
    if (fd !== -osConstants.EAGAIN || attempt === 100) return orThrow(fd, 'openat2', path);
  }
}

/** Path by which node's fs reaches `name` in an open directory. */
export function inDirectory(fd: number, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${fd}/${name}`, 'latin1');
}

/** Runs `use` with the descriptor of a literal path. */
export function withLiteral<T>(root: number, path: string, use: (fd: number) => T): T {
  const fd = openLiteral(root, path);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** What the last component of a walk is. */
export interface Walked {
  /** Literal path, latin1, without leading '/'. */
  readonly path: string;
  readonly kind: 'directory' | 'other';
}

/** Called for a component that is not there; makes it or throws. `last` for the end of the path. */
export type Missing = (parent: number, name: string, path: string, last: boolean) => 'directory' | 'other';

/**
 * Follows a path as a process with this root would, symlinks included, component by component.
 * @param path absolute, latin1 bytes
 * @throws BuildError `hostile` on a link loop or a component that is no directory; what `missing` throws
 */
export function walkInRoot(root: number, path: string, missing: Missing): Walked {
  const ahead = path.split('/').reverse();
  let done: string[] = [];
  let kind: Walked['kind'] = 'directory';
  for (let links = 0; ahead.length > 0; ) {
    const name = ahead.pop();
    if (name === undefined || name === '' || name === '.') continue;
    if (kind !== 'directory') throw refuse(path, 'one of its parents is no directory');
    if (name === '..') {
      done.pop();
      continue;
    }
    const last = ahead.every(rest => rest === '' || rest === '.');
    const found = stepInto(root, done.join('/'), name, last, missing);
    if (found.link === undefined) {
      done.push(name);
      kind = found.kind;
      continue;
    }
    if (++links > MOST_LINKS) throw refuse(path, 'its symlinks make a loop');
    if (found.link.startsWith('/')) done = [];
    ahead.push(...found.link.split('/').reverse());
  }
  return { path: done.join('/'), kind };
}

function stepInto(root: number, parent: string, name: string, last: boolean, missing: Missing) {
  const path = join(parent, name);
  const fd = openParent(root, parent);
  // The parent is one that `missing` did not need to make.
  if (fd === undefined) return { kind: missing(-1, name, path, last), link: undefined };
  try {
    const at = inDirectory(fd, name);
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (stat === undefined) {
      return { kind: missing(fd, name, path, last), link: undefined };
    }
    if (stat.isSymbolicLink()) {
      return { kind: 'other' as const, link: readlinkSync(at, { encoding: 'latin1' }) };
    }
    return { kind: stat.isDirectory() ? ('directory' as const) : ('other' as const), link: undefined };
  } finally {
    closeSync(fd);
  }
}

function openParent(root: number, parent: string): number | undefined {
  try {
    return openLiteral(root, parent);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}

/** Makes every missing component a directory of mode 0755. */
export const makeDirectory: Missing = (parent, name) => {
  const path = inDirectory(parent, name);
  mkdirSync(path);
  // Whatever the umask is; somebody may have put a link there meanwhile.
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchmodSync(fd, 0o755);
  } finally {
    closeSync(fd);
  }
  return 'directory';
};

function refuse(path: string, why: string): BuildError {
  return new BuildError(
    'hostile',
    `${printable(Buffer.from(path, 'latin1').toString())} cannot be used: ${why}`,
  );
}
