// The file system that a list of layers makes, in memory: what COPY, WORKDIR and `USER name` look things up in.
import { BuildError, printable } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { type BytePath, type ContentSource, type Entry, type LayerEntry, showPath } from '../tree/entry.ts';
import type { LayerIndex, View } from './layers.ts';
import { resolvePath } from './lookup.ts';
import { type Inode, type MergedNode, mergeLayers, nodeAt } from './merge.ts';

export interface ViewHelpers {
  /** sha256 of the bytes of each source, in the order given. */
  hashContents(sources: readonly ContentSource[]): Promise<readonly Digest[]>;
}

/**
 * Layers are merged when the first question is asked. Names of one file: the first in byte order is the file, the
 * others are hard links to it, whichever layer made them.
 * @param indexes lowest first
 * @param description for messages: `stage "build"`, `image busybox:latest`
 */
export function makeView(indexes: readonly LayerIndex[], description: string, helpers: ViewHelpers): View {
  return new LayerView(indexes, description, helpers);
}

/** Of a file that belongs to an index; a file is hashed once however many views show it. */
const digests = new WeakMap<LayerEntry, Promise<Digest>>();

class LayerView implements View {
  readonly description: string;
  readonly #indexes: readonly LayerIndex[];
  readonly #helpers: ViewHelpers;
  readonly #sorted = new WeakMap<MergedNode, readonly string[]>();
  readonly #firstNames = new WeakMap<Inode, BytePath>();
  #merged: MergedNode | undefined;

  constructor(indexes: readonly LayerIndex[], description: string, helpers: ViewHelpers) {
    this.description = description;
    this.#indexes = indexes;
    this.#helpers = helpers;
  }

  get #root(): MergedNode {
    this.#merged ??= mergeLayers(this.#indexes);
    return this.#merged;
  }

  lookup(path: BytePath): Entry | undefined {
    const node = nodeAt(this.#root, path);
    return node && this.#entryOf(path, node);
  }

  list(path: BytePath): readonly string[] {
    const node = nodeAt(this.#root, path);
    if (!node?.children) return [];
    let names = this.#sorted.get(node);
    if (!names) {
      names = [...node.children.keys()].sort();
      this.#sorted.set(node, names);
    }
    return names;
  }

  resolve(path: BytePath): BytePath | undefined {
    const literal = resolvePath(p => this.lookup(p), path);
    return literal !== undefined && nodeAt(this.#root, literal) ? literal : undefined;
  }

  layerOf(path: BytePath): number | undefined {
    return nodeAt(this.#root, path)?.layer;
  }

  content(entry: Entry): ContentSource {
    const { inode, own } = this.#file(entry);
    return this.#index(inode).content(own);
  }

  async contentDigests(entries: readonly Entry[]): Promise<readonly Digest[]> {
    const files = entries.map(entry => this.#file(entry));
    const fresh = files.filter(({ own }) => !digests.has(own));
    const unique = [...new Map(fresh.map(file => [file.own, file])).values()];
    if (unique.length > 0) {
      const all = this.#helpers.hashContents(unique.map(f => this.#index(f.inode).content(f.own)));
      unique.forEach(({ own }, i) => {
        digests.set(
          own,
          all.then(list => valueAt(list, i)),
        );
      });
      // A failure is not an answer: the next caller tries again.
      all.catch(() => {
        for (const { own } of unique) digests.delete(own);
      });
    }
    return Promise.all(files.map(({ own }) => digests.get(own) ?? Promise.reject(missing(own.path))));
  }

  #file(entry: Entry): { inode: Inode; own: LayerEntry } {
    const inode = nodeAt(this.#root, entry.path)?.inode;
    const own = inode?.entry;
    if (!inode || own?.type !== 'file') throw missing(entry.path);
    return { inode, own };
  }

  #index(inode: Inode): LayerIndex {
    const index = this.#indexes[inode.layer];
    if (!index) throw new BuildError('internal', `a view has no layer ${inode.layer}`);
    return index;
  }

  #entryOf(path: BytePath, { inode }: MergedNode): Entry {
    const { entry } = inode;
    if (!entry) return impliedDirectory(path);
    const first = entry.type === 'file' && inode.names ? this.#firstName(inode) : path;
    if (first !== undefined && first !== path)
      return { ...plain(entry), path, type: 'hardlink', linkTarget: first, size: 0 };
    return entry.path === path && entry.opaque === undefined ? plain(entry) : { ...plain(entry), path };
  }

  #firstName(inode: Inode): BytePath | undefined {
    let first = this.#firstNames.get(inode);
    if (first === undefined) {
      first = inode.names?.filter(name => nodeAt(this.#root, name)?.inode === inode).sort()[0];
      if (first !== undefined) this.#firstNames.set(inode, first);
    }
    return first;
  }
}

function valueAt(list: readonly Digest[], i: number): Digest {
  const value = list[i];
  if (value === undefined) throw new BuildError('internal', 'a content digest is missing');
  return value;
}

/** A directory that is there because files are in it, with what tools give to one that nobody described. */
export function impliedDirectory(path: BytePath): Entry {
  return { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size: 0 };
}

/** The entry as one of a tree; whiteouts are never merged into nodes. */
function plain(entry: LayerEntry): Entry {
  const { opaque: _opaque, ...rest } = entry;
  return (entry.opaque === undefined ? entry : rest) as Entry;
}

function missing(path: string): BuildError {
  return new BuildError(
    'internal',
    `the content of "${printable(showPath(path))}" was asked for, which is no file`,
  );
}
