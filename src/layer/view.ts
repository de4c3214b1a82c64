// The file system that a list of layers makes, in memory: what COPY, WORKDIR and `USER name` look things up in.
import { BuildError, printable } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { type BytePath, type ContentSource, type Entry, type LayerEntry, showPath } from '../tree/entry.ts';
import type { LayerIndex, View } from './layers.ts';
import { resolvePath } from './lookup.ts';
import { type Inode, type MergedNode, mergeLayers, nodeAt } from './merge.ts';
import { sharedPool } from './pool.ts';

export interface ViewHelpers {
  /** sha256 of the bytes of each source, in the order given; for indexes that do not know the digests of their files. */
  hashContents(sources: readonly ContentSource[]): Promise<readonly Digest[]>;
}

/**
 * Layers are merged when the first question is asked. Names of one file: the first in byte order is the file, the
 * others are hard links to it, whichever layer made them.
 * @param indexes lowest first
 * @param description for messages: `stage "build"`, `image busybox:latest`
 */
export function makeView(
  indexes: readonly LayerIndex[],
  description: string,
  helpers: ViewHelpers = pooled,
): View {
  return new LayerView(indexes, description, helpers);
}

const pooled: ViewHelpers = {
  hashContents: contents => sharedPool().run({ kind: 'hash', contents }),
};

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
    return this.#index(inode.layer).content(own);
  }

  async contentDigests(entries: readonly Entry[]): Promise<readonly Digest[]> {
    const files = entries.map(entry => this.#file(entry));
    const found = new Map<LayerEntry, Digest>();
    const byLayer = new Map<number, Set<LayerEntry>>();
    for (const { inode, own } of files) {
      const group = byLayer.get(inode.layer) ?? new Set();
      byLayer.set(inode.layer, group.add(own));
    }
    await Promise.all(
      [...byLayer].map(async ([layer, group]) => {
        const owns = [...group];
        const list = await this.#digests(layer, owns);
        owns.forEach((own, i) => {
          const digest = list[i];
          if (digest !== undefined) found.set(own, digest);
        });
      }),
    );
    return files.map(({ own }) => found.get(own) ?? fail(missing(own.path)));
  }

  #digests(layer: number, owns: readonly LayerEntry[]): Promise<readonly Digest[]> {
    const index = this.#index(layer);
    return index.digests?.(owns) ?? this.#helpers.hashContents(owns.map(own => index.content(own)));
  }

  #file(entry: Entry): { inode: Inode; own: LayerEntry } {
    const inode = nodeAt(this.#root, entry.path)?.inode;
    const own = inode?.entry;
    if (!inode || own?.type !== 'file') throw missing(entry.path);
    return { inode, own };
  }

  #index(layer: number): LayerIndex {
    const index = this.#indexes[layer];
    if (!index) throw new BuildError('internal', `a view has no layer ${layer}`);
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

function fail(error: BuildError): never {
  throw error;
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
