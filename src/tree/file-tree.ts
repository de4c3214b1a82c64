// A read-only tree of files that COPY, ADD and mounts read from: a context directory, the file system of a stage or an
// image. The same questions whatever stands behind; context/ and layer/ implement it, build/steps/ asks.
import type { Digest } from '../image/digest.ts';
import type { BytePath, ContentSource, Entry } from './entry.ts';

/** What an ignore file leaves out of a stamp. */
export interface StampFilter {
  /** Equal texts leave out the same. */
  readonly text: string;
  ignores(path: BytePath): boolean;
  mayReinclude(directory: BytePath): boolean;
}

export interface FileTree {
  /** For messages: `the build context`, `stage "build"`, `image busybox:latest`. */
  readonly description: string;
  /** The entry at a literal path, no symlink followed in any component (then undefined); sockets do not exist here. */
  lookup(path: BytePath): Entry | undefined;
  /** Names in a directory in byte order, empty when it is none. */
  list(path: BytePath): readonly string[];
  /** The bytes of a regular file of this tree. */
  content(entry: Entry): ContentSource;
  /** sha256 of the bytes of each regular file, in the order given; unchanged files are not read again. */
  contentDigests(entries: readonly Entry[]): Promise<readonly Digest[]>;
  /**
   * Something that was never the same before what is at `path`, and everything below it, last changed; made of what the
   * kernel says about it, without reading. undefined when that does not tell (files changed just now), or for a tree that
   * is no directory of this machine.
   */
  stamp?(path: BytePath, filter?: StampFilter): string | undefined;
  /**
   * Equal for entries that are names of one file, undefined for a file with one name. Absent: further names are entries
   * of type `hardlink`.
   */
  linkGroup?(entry: Entry): string | undefined;
  /**
   * Why a path that lookup does not find is hidden, if an ignore file hides it.
   * @returns the pattern and where it stands
   */
  hiddenBy?(
    path: BytePath,
  ): { readonly pattern: string; readonly file: string; readonly line: number } | undefined;
}
