// Directories that an extraction works in, open by the path the archive gives them. A path is resolved once, in the
// root, and its descriptor is used as long as nothing that a path could lead through was replaced.
import { closeSync, constants } from 'node:fs';
import { openFlags, orThrow } from '../host/fs-calls.ts';
import { type Resolver, tryMakeInRoot, tryOpenInRoot } from '../tree/resolve.ts';

const maxOpen = 32;

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
   * As {@link get} for an entry that is being dealt with already: nothing is made. undefined when there is no such directory.
   */
  find(path: string): number | undefined {
    if (path === '') return this.#rootFd;
    const known = this.#open.get(path);
    if (known !== undefined) return this.#use(path, known);
    const fd = tryOpenInRoot(this.#rootFd, path, openFlags.path | constants.O_DIRECTORY, this.#resolver);
    if (fd < 0) return undefined;
    this.#evict();
    return this.#use(path, fd);
  }

  #make(path: string): number {
    const fd = orThrow(tryMakeInRoot(this.#rootFd, path, this.#made, this.#resolver), 'open', path);
    this.#evict();
    return fd;
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
