// Several layer indexes merged into one tree of nodes, lowest first, with the rules of OCI image-spec, layer.md: a
// whiteout or an opaque directory hides what is below its own layer only; a directory and anything else replace
// each other; a parent that the layer does not list keeps what the layers below say about it, symlinks included.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, type LayerEntry, showPath } from '../tree/entry.ts';
import type { LayerIndex } from './layers.ts';
import { type Lookup, parentOf, placePath, resolvePath } from './lookup.ts';
import { joinPath } from './whiteout.ts';

/** What one or several names stand for. */
export interface Inode {
  /** Absent for a directory that no layer lists, only files in it. */
  readonly entry: LayerEntry | undefined;
  /** Position of the layer that holds the entry and its bytes. */
  readonly layer: number;
  /** All names ever given to a file that has more than one; some may be gone again. */
  names?: BytePath[];
}

export interface MergedNode {
  inode: Inode;
  /** Position of the layer that gave this name its present meaning. */
  layer: number;
  /** Present for directories. */
  children: Map<string, MergedNode> | undefined;
}

/** @throws BuildError `integrity` when a hard link names nothing, or an entry stands below something that is no directory */
export function mergeLayers(indexes: readonly LayerIndex[]): MergedNode {
  const root = directory(0);
  indexes.forEach((index, layer) => {
    new LayerMerge(root, layer).apply(index.entries);
  });
  return root;
}

/** The node at a literal path. */
export function nodeAt(root: MergedNode, path: string): MergedNode | undefined {
  if (path === '') return root;
  let node: MergedNode | undefined = root;
  let start = 0;
  while (node) {
    const slash = path.indexOf('/', start);
    if (slash < 0) return node.children?.get(path.slice(start));
    node = node.children?.get(path.slice(start, slash));
    start = slash + 1;
  }
  return undefined;
}

function directory(layer: number): MergedNode {
  return { inode: { entry: undefined, layer }, layer, children: new Map() };
}

class LayerMerge {
  readonly #root: MergedNode;
  readonly #layer: number;
  readonly #lookup: Lookup;
  // Entries come sorted, so most share their directory with the one before.
  #lastPath: string | undefined;
  #last: MergedNode | undefined;

  constructor(root: MergedNode, layer: number) {
    this.#root = root;
    this.#layer = layer;
    this.#lookup = path => {
      const node = nodeAt(root, path);
      return node && ({ type: 'directory', ...node.inode.entry } as ReturnType<Lookup>);
    };
  }

  apply(entries: readonly LayerEntry[]): void {
    const links: LayerEntry[] = [];
    for (const entry of entries) {
      if (entry.type === 'hardlink') links.push(entry);
      else if (entry.type === 'whiteout') this.#remove(entry.path);
      else this.#put(entry);
    }
    this.#linkAll(links);
  }

  #put(entry: LayerEntry): void {
    const { path } = entry;
    const inode: Inode = { entry, layer: this.#layer };
    if (entry.type !== 'directory') {
      this.#set(path, { inode, layer: this.#layer, children: undefined });
      return;
    }
    const existing = path === '' ? this.#root : this.#parent(path).children?.get(nameOf(path));
    if (existing?.children === undefined) {
      this.#set(path, { inode, layer: this.#layer, children: new Map() });
      return;
    }
    existing.inode = inode;
    existing.layer = this.#layer;
    if (entry.opaque) {
      existing.children.clear();
      this.#lastPath = undefined;
    }
  }

  #set(path: BytePath, node: MergedNode): void {
    if (path === '') throw broken('the root of the layer is no directory', path);
    this.#parent(path).children?.set(nameOf(path), node);
    this.#lastPath = undefined;
  }

  #remove(path: BytePath): void {
    const place = resolvePath(this.#lookup, parentOf(path));
    if (place === undefined) return;
    nodeAt(this.#root, place)?.children?.delete(nameOf(path));
    this.#lastPath = undefined;
  }

  /** Where the name goes: the listed or implied directory, or what a symlink of the layers below leads to. */
  #parent(path: BytePath): MergedNode {
    const parent = parentOf(path);
    if (parent === this.#lastPath && this.#last) return this.#last;
    const found = this.#descend(parent, true);
    this.#lastPath = parent;
    this.#last = found;
    return found;
  }

  #descend(path: string, followLinks: boolean): MergedNode {
    let node = this.#root;
    let at = '';
    for (const name of path === '' ? [] : path.split('/')) {
      at = joinPath(at, name);
      let next = node.children?.get(name);
      if (next?.inode.entry?.type === 'symlink' && followLinks) {
        const place = placePath(this.#lookup, path as BytePath);
        if (place === undefined) throw broken('an entry stands below something that is no directory', path);
        return this.#descend(place, false);
      }
      if (next?.children === undefined) {
        next = directory(this.#layer);
        node.children?.set(name, next);
      }
      node = next;
    }
    return node;
  }

  /** A link may name another link, so they are set as their targets appear. */
  #linkAll(links: readonly LayerEntry[]): void {
    const own = new Set(links.map(link => link.path));
    let pending = links;
    while (pending.length > 0) {
      const waiting: LayerEntry[] = [];
      const open = new Set(pending.map(link => link.path));
      for (const link of pending) {
        const target = (link.linkTarget ?? '') as BytePath;
        const isLater = own.has(target) && open.has(target);
        if (isLater || !this.#link(link, target)) waiting.push(link);
        else open.delete(link.path);
      }
      const [stuck] = waiting;
      if (stuck && waiting.length === pending.length) {
        throw broken(
          `the hard link names "${shown(stuck.linkTarget ?? '')}", which is not a file of the image`,
          stuck.path,
        );
      }
      pending = waiting;
    }
  }

  #link(link: LayerEntry, target: BytePath): boolean {
    const place = placePath(this.#lookup, target, true);
    const node = place === undefined ? undefined : nodeAt(this.#root, place);
    if (place === undefined || node === undefined || node.children) return false;
    this.#set(link.path, { inode: node.inode, layer: this.#layer, children: undefined });
    node.inode.names ??= [place];
    node.inode.names.push(placePath(this.#lookup, link.path, true) ?? link.path);
    return true;
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function shown(path: string): string {
  return printable(showPath(path));
}

function broken(why: string, path: string): BuildError {
  return new BuildError('integrity', `the layer cannot be applied at "${shown(path)}": ${why}`, {
    facts: { path: shown(path) },
  });
}
