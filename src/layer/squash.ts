// Several layers as one: what lies above a base (`--squash`), or everything without a trace of layers (`-o type=tar`).
import type { BytePath, ContentSource, Entry, LayerEntry, LayerInput } from '../tree/entry.ts';
import type { FileTree } from '../tree/file-tree.ts';
import type { LayerIndex } from './layers.ts';
import { type Inode, type MergedNode, mergeLayers } from './merge.ts';
import { impliedDirectory } from './view.ts';
import { joinPath } from './whiteout.ts';

/**
 * One layer that changes what the first `baseLayers` layers make into what all of them make: parents listed, whiteouts
 * for what is gone, links between files of this layer only (a link to a file of the base becomes a file).
 * @param indexes lowest first
 */
export function squashLayers(indexes: readonly LayerIndex[], baseLayers: number): LayerInput[] {
  const difference = new Difference(indexes, baseLayers);
  difference.compare('' as BytePath, mergeLayers(indexes.slice(0, baseLayers)), mergeLayers(indexes));
  return difference.result();
}

class Difference {
  readonly #indexes: readonly LayerIndex[];
  readonly #baseLayers: number;
  readonly #found: LayerInput[] = [];
  /** First name in this layer of a file with several. */
  readonly #names = new Map<Inode, BytePath>();

  constructor(indexes: readonly LayerIndex[], baseLayers: number) {
    this.#indexes = indexes;
    this.#baseLayers = baseLayers;
  }

  result(): LayerInput[] {
    return this.#found.sort((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
  }

  /** @returns whether anything at or below `path` differs */
  compare(path: BytePath, base: MergedNode | undefined, now: MergedNode): boolean {
    const changed =
      isAbove(now, this.#baseLayers) && (base?.children === undefined || now.inode.entry !== undefined);
    if (!now.children) {
      if (changed) this.#file(path, now.inode);
      return changed;
    }
    const own = base?.children;
    let below = false;
    for (const name of own?.keys() ?? []) {
      if (now.children.has(name)) continue;
      this.#found.push({ entry: whiteout(joinPath(path, name)) });
      below = true;
    }
    // In byte order, so that the first name of a file is the one that holds its bytes.
    for (const name of [...now.children.keys()].sort()) {
      const child = now.children.get(name);
      if (child && this.compare(joinPath(path, name), own?.get(name), child)) below = true;
    }
    const listed = changed || (below && path !== '');
    if (listed) this.#found.push({ entry: directoryEntry(path, now.inode) });
    return listed || below;
  }

  #file(path: BytePath, inode: Inode): void {
    const { entry } = inode;
    if (!entry) return;
    if (entry.type !== 'file') {
      this.#found.push({ entry: renamed(entry, path) });
      return;
    }
    const first = inode.names && this.#names.get(inode);
    if (first !== undefined) {
      this.#found.push({ entry: { ...renamed(entry, path), type: 'hardlink', linkTarget: first, size: 0 } });
      return;
    }
    if (inode.names) this.#names.set(inode, path);
    this.#found.push(withContent(renamed(entry, path), this.#indexes[inode.layer]?.content(entry)));
  }
}

/** Whether the name, or what it stands for, comes from above the base. */
function isAbove(node: MergedNode, baseLayers: number): boolean {
  return node.layer >= baseLayers || node.inode.layer >= baseLayers;
}

function whiteout(path: BytePath): LayerEntry {
  return { ...impliedDirectory(path), type: 'whiteout', mode: 0 };
}

function directoryEntry(path: BytePath, inode: Inode): LayerEntry {
  return inode.entry ? renamed(inode.entry, path) : impliedDirectory(path);
}

function renamed(entry: LayerEntry, path: BytePath): LayerEntry {
  const { opaque: _opaque, ...rest } = entry;
  return { ...rest, path };
}

function withContent(entry: LayerEntry, content: ContentSource | undefined): LayerInput {
  return content ? { entry, content } : { entry };
}

/** Everything in a tree but its root, in byte order, to be written as one layer or archive. */
export function flatten(tree: FileTree): LayerInput[] {
  const found: LayerInput[] = [];
  const visit = (path: BytePath): void => {
    for (const name of tree.list(path)) {
      const entry = tree.lookup(joinPath(path, name));
      if (!entry) continue;
      found.push(inputOf(tree, entry));
      if (entry.type === 'directory') visit(entry.path);
    }
  };
  visit('' as BytePath);
  return found.sort((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
}

function inputOf(tree: FileTree, entry: Entry): LayerInput {
  return entry.type === 'file' ? { entry, content: tree.content(entry) } : { entry };
}
