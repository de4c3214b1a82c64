// Where in the store the contents of a layer are.
import { join } from 'node:path';
import { algorithmOf, type DiffId, type Digest, hexOf, isDigest } from '../image/digest.ts';
import type { Store } from '../store/store.ts';
import type { FactsBook } from './facts.ts';
import type { LayerId } from './layers.ts';
import type { Place } from './stored-index.ts';

/** Of layer ids that name a tree. */
export const treePrefix = 'tree:';

export class Places {
  readonly #store: Store;
  readonly #facts: FactsBook;

  constructor(store: Store, facts: FactsBook) {
    this.#store = store;
    this.#facts = facts;
  }

  /** Where the tar of a layer is, or will be. */
  tar(diffId: Digest): string {
    return join(this.#store.root, 'blobs', algorithmOf(diffId), hexOf(diffId));
  }

  /** A layer that was a RUN's tree first may have that one alone. */
  tree(id: LayerId): string | undefined {
    const { trees } = this.#store;
    if (!isDigest(id)) return trees.path(id.slice(treePrefix.length));
    const other = this.#facts.get(id).tree;
    return trees.path(hexOf(id)) ?? (other === undefined ? undefined : trees.path(other));
  }

  hasContents(diffId: DiffId): boolean {
    return this.#store.blobs.path(diffId) !== undefined || this.tree(diffId) !== undefined;
  }

  /** Contents are read out of the tar where there is one, else out of the tree. */
  of(id: LayerId): Place | undefined {
    const tree = isDigest(id) && this.#store.blobs.path(id) !== undefined ? undefined : this.tree(id);
    if (tree !== undefined) return { kind: 'tree', path: tree };
    return isDigest(id) ? { kind: 'tar', path: this.tar(id) } : undefined;
  }
}
