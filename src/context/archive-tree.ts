// The file system that an archive makes when it is unpacked, in memory: symlinks on the way of a name are followed inside
// the root, later entries replace earlier ones, hard links are names of one file. Nothing is unpacked.
import { BuildError, printable } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { type BytePath, type ContentSource, type Entry, showPath } from '../tree/entry.ts';
import type { FileTree } from '../tree/file-tree.ts';
import { hashContents } from './content.ts';
import type { HashContents } from './dir.ts';
import type { ArchiveEntry } from './spool-tar.ts';

/**
 * @param description for messages
 * @throws BuildError `integrity` for a hard link to nothing, `hostile` for a name whose links go round in circles
 */
export function archiveTree(
  entries: readonly ArchiveEntry[],
  description: string,
  hash: HashContents = hashContents,
): FileTree {
  const tree = new ArchiveTree(description, hash);
  for (const each of entries) tree.add(each);
  return tree;
}

interface Node {
  readonly entry: Entry;
  readonly content?: ContentSource;
  /** Equal for names of one file. */
  readonly file?: string;
  readonly children?: Map<string, Node>;
}

const maxLinks = 40;

class ArchiveTree implements FileTree {
  readonly description: string;
  readonly #hash: HashContents;
  #root: Node = directoryNode('' as BytePath);
  #count = 0;
  readonly #digests = new Map<ContentSource, Promise<Digest>>();

  constructor(description: string, hash: HashContents) {
    this.description = description;
    this.#hash = hash;
  }

  add({ entry, content }: ArchiveEntry): void {
    if (entry.path === '') {
      if (entry.type === 'directory') this.#root = { ...this.#root, entry };
      return;
    }
    const { parent, path, name } = this.#place(entry.path);
    const there = parent.get(name);
    if (entry.type === 'directory') {
      parent.set(name, { entry: { ...entry, path }, children: there?.children ?? new Map() });
    } else if (entry.type === 'hardlink') {
      parent.set(name, this.#linked(entry, path));
    } else {
      parent.set(name, {
        entry: { ...entry, path },
        ...(content ? { content, file: String(++this.#count) } : {}),
      });
    }
  }

  lookup(path: BytePath): Entry | undefined {
    return this.#node(path)?.entry;
  }

  list(path: BytePath): readonly string[] {
    return [...(this.#node(path)?.children?.keys() ?? [])].sort();
  }

  content(entry: Entry): ContentSource {
    const content = this.#node(entry.path)?.content;
    if (content === undefined)
      throw new BuildError('internal', `no content for ${printable(showPath(entry.path))}`);
    return content;
  }

  async contentDigests(entries: readonly Entry[]): Promise<readonly Digest[]> {
    const contents = entries.map(entry => this.content(entry));
    const fresh = [...new Set(contents)].filter(content => !this.#digests.has(content));
    if (fresh.length > 0) {
      const all = this.#hash(fresh);
      fresh.forEach((content, i) => {
        this.#digests.set(
          content,
          all.then(
            digests => digests[i] ?? Promise.reject(new BuildError('internal', 'a digest is missing')),
          ),
        );
      });
    }
    return Promise.all(contents.map(content => this.#digests.get(content) as Promise<Digest>));
  }

  linkGroup(entry: Entry): string | undefined {
    return this.#node(entry.path)?.file;
  }

  #node(path: string): Node | undefined {
    if (path === '') return this.#root;
    let node: Node | undefined = this.#root;
    for (const name of path.split('/')) node = node?.children?.get(name);
    return node;
  }

  #linked(entry: Entry, path: BytePath): Node {
    const target = this.#place((entry.linkTarget ?? '') as BytePath);
    const node = target.parent.get(target.name);
    if (node === undefined || node.children !== undefined) {
      throw new BuildError(
        'integrity',
        `a hard link in ${this.description} leads to nothing: ${printable(showPath(path))}`,
        {
          facts: { path: showPath(path), target: showPath(entry.linkTarget ?? '') },
        },
      );
    }
    return { ...node, entry: { ...node.entry, path } };
  }

  /** Where a name stands when the links on its way are followed; directories that are missing are made. */
  #place(path: BytePath): { parent: Map<string, Node>; path: BytePath; name: string } {
    const way: string[] = [];
    const ahead = path.split('/').reverse();
    for (let links = 0; ; ) {
      const name = ahead.pop() ?? '';
      if (name === '..') way.pop();
      if (name === '' || name === '.' || name === '..') {
        if (ahead.length > 0) continue;
        throw new BuildError(
          'hostile',
          `a name in ${this.description} stands for its root: ${printable(showPath(path))}`,
        );
      }
      const parent = this.#directory(way);
      const found = parent.get(name);
      if (ahead.length === 0) return { parent, path: [...way, name].join('/') as BytePath, name };
      if (found?.entry.type !== 'symlink') {
        way.push(name);
        continue;
      }
      if (++links > maxLinks) {
        throw new BuildError(
          'hostile',
          `links in ${this.description} go round in circles: ${printable(showPath(path))}`,
        );
      }
      const text = found.entry.linkTarget ?? '';
      if (text.startsWith('/')) way.length = 0;
      ahead.push(
        ...text
          .split('/')
          .filter(part => part !== '')
          .reverse(),
      );
    }
  }

  /** The children of a literal directory, made when it is missing; a file in its place gives way, as in `tar -x`. */
  #directory(way: readonly string[]): Map<string, Node> {
    let children = this.#root.children ?? new Map<string, Node>();
    way.forEach((name, i) => {
      let node = children.get(name);
      if (node?.children === undefined) {
        node = directoryNode(way.slice(0, i + 1).join('/') as BytePath);
        children.set(name, node);
      }
      children = node.children ?? children;
    });
    return children;
  }
}

function directoryNode(path: BytePath): Node {
  const entry: Entry = {
    path,
    type: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    size: 0,
  };
  return { entry, children: new Map() };
}
