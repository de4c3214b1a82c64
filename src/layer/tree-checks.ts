// Unpacked layers have no digests: what one looked like when it was complete is compared with what it looks like when it
// is first used by a process. That notices files that are gone, cut off, added or edited, also by a power failure that
// came before the disk had everything; it does not notice a bit that flipped on the disk.
import { lstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BuildError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { summarizeTree } from '../tree/summary.ts';
import { FactsBook } from './facts.ts';

export class TreeChecks {
  readonly #store: Store;
  readonly #facts: FactsBook;
  readonly #known = new Set<string>();

  constructor(store: Store, facts: FactsBook) {
    this.#store = store;
    this.#facts = facts;
  }

  /** @param id of a tree that is complete */
  remember(id: string): void {
    const path = this.#store.trees.path(id);
    const summary = path === undefined ? undefined : summarizeTree(path);
    if (summary === undefined) return;
    this.#facts.update(`tree:${id}`, facts => ({ ...facts, summary }));
    this.#known.add(id);
  }

  /**
   * Once for a process. A tree that is another one by now is removed.
   * @param path of its `fs`
   * @throws BuildError `store` with the fact `damaged`: done again, the work finds it missing
   */
  async check(path: string): Promise<void> {
    const id = basename(dirname(path));
    if (this.#known.has(id)) return;
    const { summary } = this.#facts.get(`tree:${id}`);
    const found = summary === undefined ? undefined : summarizeTree(path);
    if (found === summary || found === undefined) {
      this.#known.add(id);
      return;
    }
    await this.#store.trees.remove(id);
    throw new BuildError(
      'store',
      `the unpacked layer ${id} in the store is not what it was when it was made`,
      {
        hint: 'it is removed from the store: build again',
        facts: { damaged: `tree:${id}`, path },
      },
    );
  }
}

/** What is wrong with a tree, without removing it or counting this as a use; undefined: nothing, or nobody can tell. */
export function treeProblem(store: Store, id: string): string | undefined {
  const path = join(store.root, 'trees', id);
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const isTree = stat.isDirectory() && lstatSync(join(path, 'fs'), { throwIfNoEntry: false })?.isDirectory();
  if (!isTree) {
    const isGone = lstatSync(path, { throwIfNoEntry: false }) === undefined;
    return isGone ? undefined : 'is no directory with an fs in it';
  }
  const { summary } = new FactsBook(store.meta).get(`tree:${id}`);
  if (summary === undefined) return undefined;
  const found = summarizeTree(join(path, 'fs'));
  if (found === summary || lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  return found === undefined ? 'cannot be looked at' : 'is not what it was when it was made';
}
