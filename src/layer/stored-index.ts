// A layer's entries as other rooms see them, with the place where each content can be read at present.
import { BuildError, printable } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { type BytePath, type ContentSource, type LayerEntry, showPath } from '../tree/entry.ts';
import type { IndexedEntry } from './indexer.ts';
import type { LayerIndex } from './layers.ts';

/** Where the contents of a layer are. */
export type Place =
  | { readonly kind: 'tar'; readonly path: string }
  | { readonly kind: 'tree'; readonly path: string };

export interface IndexSources {
  /** Asked whenever a content is, because a tree may have become a tar, or been removed, in between. */
  readonly place: () => Place;
  readonly sparsePath: string;
  /** Hashes contents; makes them readable first where they are not. */
  readonly hash: (contents: readonly ContentSource[]) => Promise<readonly Digest[]>;
  /** Keeps digests for later builds. */
  readonly remember: (digests: ReadonlyMap<BytePath, Digest>) => void;
}

export class StoredIndex implements LayerIndex {
  readonly entries: readonly LayerEntry[];
  readonly #items: ReadonlyMap<BytePath, IndexedEntry>;
  readonly #digests = new Map<BytePath, Promise<Digest>>();
  readonly #sources: IndexSources;

  constructor(list: readonly IndexedEntry[], sources: IndexSources) {
    this.entries = list.map(item => item.entry);
    this.#items = new Map(list.map(item => [item.entry.path, item]));
    this.#sources = sources;
    for (const { entry, digest } of list) if (digest) this.#digests.set(entry.path, Promise.resolve(digest));
  }

  content(entry: LayerEntry): ContentSource {
    const item = this.#items.get(entry.path);
    if (item?.entry.type !== 'file') throw noFile(entry.path);
    if (item.inline) return { kind: 'bytes', bytes: item.inline };
    const { size, path } = item.entry;
    if (size === 0) return { kind: 'bytes', bytes: new Uint8Array() };
    if (item.sparseOffset >= 0) {
      return { kind: 'range', file: this.#sources.sparsePath, offset: item.sparseOffset, size };
    }
    const place = this.#sources.place();
    if (place.kind === 'tree') return { kind: 'in-tree', root: place.path, path, size };
    return { kind: 'range', file: place.path, offset: item.offset, size };
  }

  async digests(entries: readonly LayerEntry[]): Promise<readonly Digest[]> {
    const fresh = [...new Set(entries.map(entry => entry.path))].filter(path => !this.#digests.has(path));
    if (fresh.length > 0) await this.#hash(fresh);
    return Promise.all(entries.map(({ path }) => this.#digests.get(path) ?? Promise.reject(noFile(path))));
  }

  async #hash(paths: readonly BytePath[]): Promise<void> {
    const contents = paths.map(path =>
      this.content(this.#items.get(path)?.entry ?? ({ path } as LayerEntry)),
    );
    const all = this.#sources.hash(contents);
    paths.forEach((path, i) => {
      const one = all.then(list => list[i] ?? Promise.reject(noFile(path)));
      one.catch(() => this.#digests.delete(path)); // a failure is not an answer: the next caller tries again
      this.#digests.set(path, one);
    });
    const list = await all;
    this.#sources.remember(new Map(paths.flatMap((path, i) => (list[i] ? [[path, list[i]]] : []))));
  }
}

function noFile(path: string): BuildError {
  const shown = printable(showPath(path));
  return new BuildError('internal', `the content of "${shown}" was asked for, which is no file of the layer`);
}
