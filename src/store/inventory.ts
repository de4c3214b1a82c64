// What is in the store, how much room it takes and who needs it. Blobs and trees that several need are there once.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { isDigest } from '../image/digest.ts';
import { listMounts, type StoredMount } from './mounts.ts';
import { Reached } from './reach.ts';
import type { Store } from './store.ts';
import { diskBytes } from './usage.ts';

/** A blob, or a tree with its index. */
export interface StoredObject {
  /** `blob sha256:...` or `tree <id>`. */
  readonly id: string;
  readonly bytes: number;
  readonly lastUsedMs: number;
}

/** image: has a name; untagged: kept without one; base: pulled for a build; step: a result in the cache; log: of a step that came to no result. */
export type HolderType = 'image' | 'untagged' | 'base' | 'step' | 'log';

/** Something that needs objects. */
export interface Holder {
  readonly type: HolderType;
  /** Name of the image, or key in the database. */
  readonly id: string;
  /** For people. */
  readonly description: string;
  readonly lastUsedMs: number;
  /** Those that are here. */
  readonly objects: readonly string[];
  /** Of a step: its result is part of an image that has a name, or nothing: forgetting it frees next to nothing. */
  readonly inImage?: boolean;
}

export interface Inventory {
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly holders: readonly Holder[];
  readonly mounts: readonly StoredMount[];
  readonly databaseBytes: number;
}

export async function takeInventory(store: Store): Promise<Inventory> {
  const objects = new Map(objectsOf(store.root).map(object => [object.id, object]));
  const here = (reached: Reached) =>
    [...[...reached.blobs].map(id => `blob ${id}`), ...[...reached.trees].map(id => `tree ${id}`)].filter(
      id => objects.has(id),
    );
  const latest = (ids: readonly string[]) =>
    ids.reduce((max, id) => Math.max(max, objects.get(id)?.lastUsedMs ?? 0), 0);
  const holders: Holder[] = [];
  const add = (type: HolderType, id: string, description: string, reached: Reached, atMs = 0) => {
    const found = here(reached);
    const holder = { type, id, description, objects: found, lastUsedMs: Math.max(atMs, latest(found)) };
    holders.push(holder);
    return holder;
  };
  const inImages = new Set<string>();
  for (const { name, descriptor } of store.names.list()) {
    const image = add('image', name, name, await Reached.fromDocuments(store, descriptor.digest));
    for (const id of image.objects) inImages.add(id);
  }
  for (const { descriptor, at } of store.names.untagged()) {
    const reached = await Reached.fromDocuments(store, descriptor.digest);
    add('untagged', descriptor.digest, 'image without a name', reached, timeOf(at));
  }
  for (const [key, value] of store.meta.entries('misc')) {
    const reached = await Reached.fromDocuments(store, value);
    if (reached.blobs.size > 0) add('base', key, key.replace(/^base /, ''), reached);
  }
  for (const [key, value] of store.meta.entries('records')) {
    const { alias, layer, display, createdAt, usedAt } = (value ?? {}) as Record<string, unknown>;
    if (alias !== undefined) continue;
    const atMs = Math.max(timeOf(createdAt), timeOf(usedAt));
    const step = add('step', key, String(display ?? ''), Reached.fromFact(store, 'records', value), atMs);
    const id = String(layer);
    const inImage =
      layer === null || inImages.has(id.startsWith('tree:') ? `tree ${id.slice(5)}` : `blob ${id}`);
    if (inImage) holders[holders.length - 1] = { ...step, inImage };
  }
  for (const [key, value] of store.meta.entries('builds')) {
    const reached = Reached.fromFact(store, 'builds', value);
    const { at, context } = (value ?? {}) as Record<string, unknown>;
    if (reached.blobs.size > 0) add('log', key, `logs of ${String(context)}`, reached, timeOf(at));
  }
  const databaseBytes = diskBytes(join(store.root, 'meta'));
  return { objects, holders, mounts: listMounts(store.root), databaseBytes };
}

function timeOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) || 0 : 0;
}

function objectsOf(root: string): StoredObject[] {
  const found: StoredObject[] = [];
  for (const algorithm of ['sha256', 'sha512']) {
    const dir = join(root, 'blobs', algorithm);
    for (const name of namesIn(dir)) {
      const id = `${algorithm}:${name}`;
      if (isDigest(id)) found.push(objectAt(`blob ${id}`, join(dir, name)));
    }
  }
  const indexes = new Map<string, number>();
  for (const name of namesIn(join(root, 'layers'))) {
    const layer = name.replace(/^tree-/, '').replace(/\.[a-z]+$/, '');
    indexes.set(layer, (indexes.get(layer) ?? 0) + diskBytes(join(root, 'layers', name)));
  }
  for (const id of new Set([...namesIn(join(root, 'trees')), ...indexes.keys()])) {
    const tree = objectAt(`tree ${id}`, join(root, 'trees', id));
    found.push({ ...tree, bytes: tree.bytes + (indexes.get(id) ?? 0) });
  }
  return found;
}

function objectAt(id: string, path: string): StoredObject {
  const lastUsedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return { id, bytes: diskBytes(path), lastUsedMs };
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
