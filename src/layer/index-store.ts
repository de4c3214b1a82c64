// Where the indexes of layers are kept in the store: `layers/<name>.idx`, and `layers/<name>.sparse` for the expanded
// contents of sparse files. Both are made again when they are lost.
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { BytePath } from '../tree/entry.ts';
import { decodeIndex, encodeIndex } from './index-file.ts';
import type { IndexedEntry } from './indexer.ts';
import type { IndexPaths } from './jobs.ts';

let counter = 0;

/** Index files on their way; not visible under the layer's name before `keep`. */
export interface PendingIndex {
  readonly paths: IndexPaths;
  /** Puts them in place; those of an earlier attempt are replaced. */
  keep(name: string): void;
  [Symbol.dispose](): void;
}

export class IndexStore {
  readonly #dir: string;
  readonly #tmp: () => string;

  /** @param tmp a directory on the file system of `root` */
  constructor(root: string, tmp: () => string) {
    this.#dir = join(root, 'layers');
    this.#tmp = tmp;
  }

  /** @returns undefined when there is none or it is damaged */
  load(name: string): IndexedEntry[] | undefined {
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#place(name, 'idx'));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const list = decodeIndex(bytes);
    const isWhole = list && (!list.some(item => item.sparseOffset >= 0) || this.#has(this.sparsePath(name)));
    return isWhole ? list : undefined;
  }

  sparsePath(name: string): string {
    return this.#place(name, 'sparse');
  }

  begin(): PendingIndex {
    const base = join(this.#tmp(), `index-${process.pid}-${counter++}`);
    const paths = { index: `${base}.idx`, sparse: `${base}.sparse` };
    return {
      paths,
      keep: name => {
        this.#makeDir();
        if (this.#has(paths.sparse)) renameSync(paths.sparse, this.sparsePath(name));
        renameSync(paths.index, this.#place(name, 'idx'));
      },
      [Symbol.dispose]() {
        rmSync(paths.index, { force: true });
        rmSync(paths.sparse, { force: true });
      },
    };
  }

  /** Adds what was found out about contents to an index that is kept. */
  rememberDigests(name: string, digests: ReadonlyMap<BytePath, Digest>): void {
    const list = this.load(name);
    if (!list) return;
    using pending = this.begin();
    const digested = list.map(item => {
      const digest = digests.get(item.entry.path);
      return digest ? { ...item, digest } : item;
    });
    writeFileSync(pending.paths.index, encodeIndex(digested), { mode: 0o600 });
    renameSync(pending.paths.index, this.#place(name, 'idx'));
  }

  remove(name: string): void {
    rmSync(this.#place(name, 'idx'), { force: true });
    rmSync(this.sparsePath(name), { force: true });
  }

  #place(name: string, kind: 'idx' | 'sparse'): string {
    return join(this.#dir, `${name}.${kind}`);
  }

  #has(path: string): boolean {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  }

  #makeDir(): void {
    if (statSync(this.#dir, { throwIfNoEntry: false })) return;
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    chmodSync(this.#dir, 0o700);
  }
}
