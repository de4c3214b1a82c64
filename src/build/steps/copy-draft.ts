// A file system that is being changed in memory: a View below, what COPY and ADD put on top of it, and in the end the
// entries of the layer that makes the difference. Pure.
import { BuildError, printable } from '../../errors.ts';
import type { View } from '../../layer/layers.ts';
import { placePath } from '../../layer/lookup.ts';
import {
  type BytePath,
  type ContentSource,
  type Entry,
  type LayerInput,
  showPath,
} from '../../tree/entry.ts';

/** Properties of a directory that has to be made. */
export interface DirectoryLook {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSec: number;
  /** The group was asked for; else a directory with the setgid bit passes its own on, as mkdir(2) does. */
  readonly hasOwner?: boolean;
}

/** Something put in place. Files of one `group` are names of one file: the first in byte order carries the content. */
export interface Placed {
  readonly entry: Entry;
  readonly content?: ContentSource;
  readonly group?: string;
}

export class Draft {
  readonly #view: View | undefined;
  readonly #placed = new Map<string, Placed>();
  /** Directories of the View that were replaced: nothing of theirs shows any more. */
  readonly #cut = new Set<string>();
  /** Those of them that a new directory stands in for. */
  readonly #opaque = new Set<string>();

  /** @param view absent: an empty file system, for --link */
  constructor(view: View | undefined) {
    this.#view = view;
  }

  lookup(path: BytePath): Entry | undefined {
    const placed = this.#placed.get(path);
    if (placed) return placed.entry;
    return this.#isCut(path) ? undefined : this.#view?.lookup(path);
  }

  /**
   * The literal path that `path` reaches through the links on the way.
   * @param keepLast the last component is not followed
   * @param root literal path of a directory that `path` is relative to and that no link leads out of, as in a chroot
   * @throws BuildError `context` when something on the way is no directory
   */
  place(path: BytePath, keepLast = false, root = ''): BytePath {
    const below = (each: string) => (root === '' ? each : each === '' ? root : `${root}/${each}`) as BytePath;
    const literal = placePath(each => this.lookup(below(each)), path, keepLast);
    if (literal === undefined) throw this.#notADirectory(below(path));
    return below(literal);
  }

  /**
   * Makes a directory and its parents where they are missing.
   * @returns its literal path, and the directories that are new
   */
  ensureDirectory(
    path: BytePath,
    look: DirectoryLook,
  ): { readonly path: BytePath; readonly created: readonly BytePath[] } {
    const literal = this.place(path);
    const created: BytePath[] = [];
    for (const each of ancestry(literal)) {
      const there = this.lookup(each);
      if (there?.type === 'directory') continue;
      if (there) throw this.#notADirectory(each);
      this.put({ entry: directoryEntry(each, look, this.lookup(parentPath(each))) });
      created.push(each);
    }
    return { path: literal, created };
  }

  /** Puts something at a literal path whose parent is there. A directory keeps what it holds when it becomes a directory. */
  put(placed: Placed): void {
    const { path, type } = placed.entry;
    if (path === '') return;
    refuseMarker(path);
    const before = this.lookup(path);
    const keeps = before?.type === 'directory' && type === 'directory';
    if (before?.type === 'directory' && !keeps) this.#removeBelow(path);
    if (before && !keeps && this.#view?.lookup(path)?.type === 'directory') this.#cut.add(path);
    if (type === 'directory' && this.#cut.has(path)) this.#opaque.add(path);
    this.#placed.set(path, placed);
  }

  /** The difference to the View in byte order, with the directories above everything in it as they are there. */
  result(): LayerInput[] {
    const paths = new Set(this.#placed.keys());
    for (const path of this.#placed.keys())
      for (const parent of ancestry(parentPath(path))) paths.add(parent);
    const firstNames = new Map<string, BytePath>();
    return [...paths].sort().flatMap(path => {
      const placed = this.#placed.get(path);
      if (placed) return [this.#finished(placed, firstNames)];
      const above = this.lookup(path as BytePath);
      return above ? [{ entry: above }] : [];
    });
  }

  #finished(placed: Placed, firstNames: Map<string, BytePath>): LayerInput {
    const { entry, content, group } = placed;
    const first = group === undefined ? undefined : firstNames.get(group);
    if (first !== undefined) return { entry: { ...entry, type: 'hardlink', size: 0, linkTarget: first } };
    if (group !== undefined) firstNames.set(group, entry.path);
    if (this.#opaque.has(entry.path)) return { entry: { ...entry, opaque: true } };
    return content ? { entry, content } : { entry };
  }

  #isCut(path: string): boolean {
    if (this.#cut.size === 0) return false;
    return ancestry(path).some(each => this.#cut.has(each));
  }

  #removeBelow(path: string): void {
    for (const each of this.#placed.keys()) if (each.startsWith(`${path}/`)) this.#placed.delete(each);
  }

  #notADirectory(path: BytePath): BuildError {
    return new BuildError(
      'context',
      `cannot create a directory at "/${printable(showPath(path))}": a file is in the way`,
      {
        facts: { path: showPath(path), errno: 'ENOTDIR' },
      },
    );
  }
}

/** `a/b/c` gives a, a/b, a/b/c. */
export function ancestry(path: string): BytePath[] {
  const found: BytePath[] = [];
  if (path === '') return found;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
    found.push(path.slice(0, at) as BytePath);
  found.push(path as BytePath);
  return found;
}

export function parentPath(path: string): BytePath {
  return path.slice(0, Math.max(0, path.lastIndexOf('/'))) as BytePath;
}

function directoryEntry(path: BytePath, look: DirectoryLook, parent: Entry | undefined): Entry {
  const { hasOwner, ...own } = look;
  const entry: Entry = { path, type: 'directory', ...own, mtimeNsec: 0, size: 0 };
  if (parent === undefined || (parent.mode & setgid) === 0) return entry;
  return { ...entry, mode: entry.mode | setgid, gid: hasOwner ? entry.gid : parent.gid };
}

const setgid = 0o2000;

/** In a layer such a name would say that a file is gone. */
function refuseMarker(path: BytePath): void {
  if (!path.slice(path.lastIndexOf('/') + 1).startsWith('.wh.')) return;
  throw new BuildError('unsupported', `a file called "/${printable(showPath(path))}" cannot be in an image`, {
    hint: 'names that start with .wh. are how layers say that a file is gone; leave it out with --exclude or the ignore file',
    facts: { path: showPath(path) },
  });
}
