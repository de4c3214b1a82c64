// What is in a directory that we do not trust, as entries. Synchronous, by descriptor, no link followed, no mount
// entered, bounded in descriptors however deep it goes.
import { closeSync, constants } from 'node:fs';
import { SystemError } from '../host/ffi.ts';
import { type FileStat, getXattr, listXattrs, procPath, readLinkAt, tryStatAt } from '../host/fs-calls.ts';
import { byBytes, Descent } from './descent.ts';
import type { BytePath, Entry, EntryType } from './entry.ts';
import { openRoot } from './resolve.ts';
import { isKeptXattr } from './xattr-policy.ts';

const { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } = constants;
const errno = { noEntry: 2, notDirectory: 20, loop: 40 } as const;

/** take: report it, and what is in it; skip: neither; enter: what is in it, but not the directory itself. */
export type Choice = 'take' | 'skip' | 'enter';

export interface WalkOptions {
  /** Called for everything but the root before it is looked into. Default: take. */
  choose?(path: BytePath, isDirectory: boolean): Choice;
  /** Which attributes are read. Default: {@link isKeptXattr}. */
  xattr?(name: string): boolean;
  /** Report the root directory as well, with path ''. Default false. */
  readonly withRoot?: boolean;
}

const types: ReadonlyMap<number, EntryType> = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFIFO, 'fifo'],
  [S_IFCHR, 'char'],
  [S_IFBLK, 'block'],
]);

/**
 * Everything below `root` in byte order of the paths (so that a directory comes before what is in it). Of the names of
 * one file the first is reported as file, the others as hard links to it. Sockets do not occur.
 * @param root a path that we chose ourselves
 * @throws a system error (EACCES, ...); BuildError `hostile` when something is mounted below
 */
export function walkTree(root: string, options: WalkOptions = {}): Entry[] {
  const found: Found[] = [];
  const rootFd = openRoot(root);
  const walk = new Walk(rootFd, options, found);
  try {
    walk.run();
  } finally {
    walk.close();
    closeSync(rootFd);
  }
  found.sort((a, b) => byBytes(a.entry.path, b.entry.path));
  return withHardLinks(found);
}

interface Found {
  readonly entry: Entry;
  /** Which file it is, when that has several names. */
  readonly file: string | undefined;
}

function withHardLinks(found: readonly Found[]): Entry[] {
  const first = new Map<string, BytePath>();
  return found.map(({ entry, file }) => {
    if (file === undefined) return entry;
    const target = first.get(file);
    if (target === undefined) {
      first.set(file, entry.path);
      return entry;
    }
    const { xattrs: _xattrs, ...rest } = entry;
    return { ...rest, type: 'hardlink', size: 0, linkTarget: target };
  });
}

class Walk {
  readonly #descent: Descent;
  readonly #options: WalkOptions;
  readonly #found: Found[];
  /** For each directory we are in: its path with a slash, and the names still to do, last first. */
  readonly #levels: { readonly prefix: string; readonly names: string[] }[] = [];

  constructor(rootFd: number, options: WalkOptions, found: Found[]) {
    this.#descent = new Descent(rootFd);
    this.#options = options;
    this.#found = found;
  }

  run(): void {
    if (this.#options.withRoot === true) this.#report('', '', tryStatAt(this.#descent.fd, ''));
    this.#levels.push({ prefix: '', names: this.#descent.names().reverse() });
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const name = level.names.pop();
      if (name !== undefined) this.#visit(name, `${level.prefix}${name}`);
      else {
        this.#levels.pop();
        if (this.#descent.depth > 0) this.#descent.leave();
      }
    }
  }

  close(): void {
    this.#descent.close();
  }

  #visit(name: string, path: string): void {
    const stat = tryStatAt(this.#descent.fd, name);
    // Gone since the directory was read.
    if (stat === -errno.noEntry) return;
    const isDirectory = typeof stat !== 'number' && (stat.mode & S_IFMT) === S_IFDIR;
    const choice = this.#options.choose?.(path as BytePath, isDirectory) ?? 'take';
    if (choice === 'skip') return;
    if (choice === 'take') this.#report(name, path, stat);
    if (isDirectory) this.#enter(name, path);
  }

  #enter(name: string, path: string): void {
    const entered = this.#descent.tryEnter(name);
    if (entered === -errno.noEntry || entered === -errno.notDirectory || entered === -errno.loop) return;
    if (entered < 0) throw new SystemError(-entered, 'open', path);
    this.#levels.push({ prefix: `${path}/`, names: this.#descent.names().reverse() });
  }

  #report(name: string, path: string, stat: FileStat | number): void {
    if (typeof stat === 'number') throw new SystemError(-stat, 'statx', path);
    const type = types.get(stat.mode & S_IFMT);
    if (type === undefined) return;
    const xattrs = this.#xattrs(name);
    const isDevice = type === 'char' || type === 'block';
    const entry: Entry = {
      path: path as BytePath,
      type,
      mode: stat.mode & 0o7777,
      uid: stat.uid,
      gid: stat.gid,
      mtimeSec: stat.mtimeSec,
      mtimeNsec: stat.mtimeNsec,
      size: type === 'file' ? stat.size : 0,
      ...(type === 'symlink' && { linkTarget: readLinkAt(this.#descent.fd, name) }),
      ...(isDevice && { devMajor: stat.devMajor, devMinor: stat.devMinor }),
      ...(xattrs && { xattrs }),
    };
    const isLinked = stat.nlink > 1 && type !== 'directory';
    this.#found.push({ entry, file: isLinked ? `${stat.dev}:${stat.ino}` : undefined });
  }

  #xattrs(name: string): Record<string, string> | undefined {
    const wanted = this.#options.xattr ?? isKeptXattr;
    const path = procPath(this.#descent.fd, name);
    let xattrs: Record<string, string> | undefined;
    // The root itself is reached through the descriptor's link, which the calls for links must follow: hence '.'.
    const target = name === '' ? `${path}/.` : path;
    for (const attribute of listXattrs(target)) {
      if (!wanted(attribute)) continue;
      const value = getXattr(target, attribute);
      if (value === undefined) continue;
      xattrs ??= {};
      xattrs[attribute] = value;
    }
    return xattrs;
  }
}
