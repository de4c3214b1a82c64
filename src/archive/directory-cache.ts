// Directories that an extraction works in, open by the path the archive gives them. A path is resolved once, in the
// root, and its descriptor is used as long as nothing that a path could lead through was replaced.
import { closeSync, constants } from 'node:fs';
import { openFlags, orThrow, tryOpenAt } from '../host/fs-calls.ts';
import { type Resolver, tryMakeInRoot, tryOpenInRoot } from '../tree/resolve.ts';

const maxOpen = 32;
const directoryFlags = openFlags.path | constants.O_DIRECTORY;

export class DirectoryCache {
  readonly #rootFd: number;
  readonly #resolver: Resolver;
  readonly #made: (literal: string) => void;
  readonly #open = new Map<string, number>();
  #lastPath: string | undefined;
  #lastFd = -1;
  #isStale = false;

  /** @param made called with the literal path of each directory that had to be made without an entry */
  constructor(rootFd: number, resolver: Resolver, made: (literal: string) => void) {
    this.#rootFd = rootFd;
    this.#resolver = resolver;
    this.#made = made;
  }

  /**
   * The directory that `path` leads to in the root, made where it is missing. Two descriptors got one after the other
   * are valid together.
   * @throws SystemError ENOTDIR, ELOOP, ENOSPC, ...
   */
  get(path: string): number {
    if (this.#isStale) this.close();
    if (path === this.#lastPath) return this.#lastFd;
    if (path === '') return this.#rootFd;
    return this.#use(path, this.#open.get(path) ?? this.#make(path));
  }

  /**
   * As {@link get}, but nothing is made: undefined when there is no such directory.
   */
  find(path: string): number | undefined {
    if (this.#isStale) this.close();
    if (path === '') return this.#rootFd;
    const known = this.#open.get(path);
    if (known !== undefined) return this.#use(path, known);
    let fd = this.#fromParent(path);
    if (fd < 0) fd = tryOpenInRoot(this.#rootFd, path, directoryFlags, this.#resolver);
    if (fd < 0) return undefined;
    this.#evict();
    return this.#use(path, fd);
  }

  #make(path: string): number {
    let fd = this.#fromParent(path);
    if (fd < 0) fd = orThrow(tryMakeInRoot(this.#rootFd, path, this.#made, this.#resolver), 'open', path);
    this.#evict();
    return fd;
  }

  /** A real directory in a known one is where the longer path leads: no need to walk from the root, however deep. */
  #fromParent(path: string): number {
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? this.#rootFd : this.#open.get(path.slice(0, slash));
    if (parent === undefined) return -1;
    return tryOpenAt(parent, path.slice(slash + 1), directoryFlags | constants.O_NOFOLLOW);
  }

  /** Most recently used last. */
  #use(path: string, fd: number): number {
    this.#open.delete(path);
    this.#open.set(path, fd);
    this.#lastPath = path;
    this.#lastFd = fd;
    return fd;
  }

  #evict(): void {
    if (this.#open.size < maxOpen) return;
    const [oldest] = this.#open;
    if (oldest === undefined) return;
    closeSync(oldest[1]);
    this.#open.delete(oldest[0]);
  }

  /**
   * To be called when a directory or a link was removed or replaced: any path may lead elsewhere now. Descriptors got
   * before stay valid until the next `get`.
   */
  invalidate(): void {
    this.#isStale = true;
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
    this.#lastPath = undefined;
    this.#lastFd = -1;
    this.#isStale = false;
  }
}
