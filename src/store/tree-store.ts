// Unpacked layers: trees/<id>/fs. A tree is filled in the session's ingest directory and renamed when it is complete,
// so what has a name here is whole.
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildError, errnoOf, printable } from '../errors.ts';
import { removeTree } from '../host/temp.ts';
import { storeFailure, storing } from './failure.ts';
import type { Session } from './session.ts';
import type { TreeIngest, TreeStore } from './store.ts';
import { markUsed } from './usage.ts';

export class DirectoryTreeStore implements TreeStore {
  readonly #root: string;
  readonly #session: Session;

  constructor(root: string, session: Session) {
    this.#root = root;
    this.#session = session;
  }

  path(id: string): string | undefined {
    const place = this.#place(id);
    const stat = statSync(place, { throwIfNoEntry: false });
    const path = join(place, 'fs');
    if (!stat || !statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
    markUsed(place, stat); // the time of `fs` itself belongs to the image
    return path;
  }

  async begin(): Promise<TreeIngest> {
    const dir = this.#session.freshPath();
    try {
      mkdirSync(dir, { mode: 0o700 });
      mkdirSync(join(dir, 'fs'));
      chmodSync(join(dir, 'fs'), 0o755); // the mode of `/` in a container, so not left to the umask
    } catch (error) {
      throw storeFailure(error, 'beginning a tree', dir);
    }
    return new DirectoryIngest(dir, id => this.#place(id));
  }

  async remove(id: string): Promise<void> {
    const place = this.#place(id);
    await storing('removing a tree', place, async () => {
      const gone = this.#session.freshPath();
      try {
        await rename(place, gone); // gone at once for readers; what is slow comes after
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return;
        throw error;
      }
      await removeTree(gone);
    });
  }

  #place(id: string): string {
    if (!/^[a-z0-9-]+$/.test(id)) {
      throw new BuildError('internal', `"${printable(id)}" is no name for a tree`);
    }
    return join(this.#root, 'trees', id);
  }
}

class DirectoryIngest implements TreeIngest {
  readonly dir: string;
  readonly fs: string;
  readonly #place: (id: string) => string;

  constructor(dir: string, place: (id: string) => string) {
    this.dir = dir;
    this.fs = join(dir, 'fs');
    this.#place = place;
  }

  async commit(id: string): Promise<string> {
    const target = this.#place(id);
    await storing('keeping a tree', target, async () => {
      for (const name of await readdir(this.dir)) {
        if (name !== 'fs') await removeTree(join(this.dir, name));
      }
      await this.#rename(target);
    });
    return join(target, 'fs');
  }

  async #rename(target: string): Promise<void> {
    try {
      await rename(this.dir, target);
    } catch (error) {
      if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
      const isTree = statSync(join(target, 'fs'), { throwIfNoEntry: false })?.isDirectory() ?? false;
      if (isTree) return removeTree(this.dir);
      await removeTree(target); // no tree: something else took the name
      await rename(this.dir, target);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.dir);
  }
}
