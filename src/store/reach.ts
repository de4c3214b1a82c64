// What names, records and remembered base images lead to: manifests to configs and blobs, configs to layers, layers to
// whatever layer/ wrote down about them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithmOf, type Digest, hexOf, isDigest } from '../image/digest.ts';
import { maxManifestBytes } from '../image/manifest.ts';
import type { Store } from './store.ts';

export interface Roots {
  /** Keys of the spaces `records`, `builds` and `misc`, and digests of images without a name, that do not count. */
  readonly forgotten: ReadonlySet<string>;
  /** Whether what is remembered in `misc` (base images) counts. */
  readonly bases: boolean;
}

export class Reached {
  readonly blobs = new Set<Digest>();
  readonly trees = new Set<string>();
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  static async from(store: Store, roots: Roots): Promise<Reached> {
    const reached = new Reached(store);
    const untagged = store.names
      .untagged()
      .filter(({ descriptor }) => !roots.forgotten.has(descriptor.digest));
    for (const { descriptor } of [...store.names.list(), ...untagged])
      await reached.#document(descriptor.digest);
    if (roots.bases) {
      for (const [key, value] of store.meta.entries('misc')) {
        if (roots.forgotten.has(key)) continue;
        for (const digest of digestsIn(value)) await reached.#document(digest);
      }
    }
    for (const [key, value] of store.meta.entries('records')) {
      if (!roots.forgotten.has(key)) reached.#record(value);
    }
    for (const [key, value] of store.meta.entries('builds')) {
      if (!roots.forgotten.has(key)) reached.#build(value);
    }
    return reached;
  }

  /** What one image leads to. @param document a descriptor, or any value with digests of documents in it */
  static async fromDocuments(store: Store, document: unknown): Promise<Reached> {
    const reached = new Reached(store);
    for (const digest of digestsIn(document)) await reached.#document(digest);
    return reached;
  }

  /** What one value of the space `records` or `builds` leads to. */
  static fromFact(store: Store, space: 'records' | 'builds', value: unknown): Reached {
    const reached = new Reached(store);
    if (space === 'records') reached.#record(value);
    else reached.#build(value);
    return reached;
  }

  /** A manifest, index or config; anything else is a blob that leads nowhere. */
  async #document(digest: Digest): Promise<void> {
    if (this.blobs.has(digest)) return;
    this.blobs.add(digest);
    const size = this.#store.blobs.size(digest);
    if (size === undefined || size > maxManifestBytes) return;
    const json = await this.#json(digest);
    const { manifests, config, layers, rootfs, subject } = json;
    for (const part of [manifests, config, layers, subject].flat()) {
      const next = (part as { digest?: unknown } | null | undefined)?.digest;
      if (isDigest(next)) await this.#document(next);
    }
    const diffIds = (rootfs as { diff_ids?: unknown } | null | undefined)?.diff_ids;
    for (const id of Array.isArray(diffIds) ? diffIds : []) if (isDigest(id)) this.#layer(id);
  }

  #record(value: unknown): void {
    const { layer, log, files } = (value ?? {}) as Record<string, unknown>;
    if (typeof layer === 'string') this.#layer(layer);
    for (const digest of digestsIn([log, files])) this.blobs.add(digest);
  }

  /** Logs of steps that came to no result. */
  #build(value: unknown): void {
    const { steps } = (value ?? {}) as { steps?: unknown };
    for (const step of Array.isArray(steps) ? steps : []) {
      for (const digest of digestsIn((step as { log?: unknown } | null)?.log)) this.blobs.add(digest);
    }
  }

  /** Read here, because looking is no use of the image. */
  async #json(digest: Digest): Promise<Record<string, unknown>> {
    try {
      const path = join(this.#store.root, 'blobs', algorithmOf(digest), hexOf(digest));
      const value: unknown = JSON.parse(await readFile(path, 'utf8'));
      return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    } catch {
      return {}; // a small layer, or damaged: the image cannot be used either way
    }
  }

  #layer(id: string): void {
    const tree = isDigest(id) ? hexOf(id) : id.replace(/^tree:/, '');
    if (this.trees.has(tree)) return;
    this.trees.add(tree);
    if (isDigest(id)) this.blobs.add(id);
    const facts = this.#store.meta.get('layers', id);
    for (const digest of digestsIn(facts)) {
      this.#layer(digest);
      this.blobs.add(digest);
    }
    const other = (facts as { tree?: unknown } | null | undefined)?.tree;
    if (typeof other === 'string') this.trees.add(other);
  }
}

/** Every digest in a JSON value, so that what is written down may take any shape. */
function* digestsIn(value: unknown): Iterable<Digest> {
  if (isDigest(value)) yield value;
  else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) yield* digestsIn(part);
  }
}
