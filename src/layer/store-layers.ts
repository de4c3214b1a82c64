// Layers on the store. Every layer is known by its diffId or as a tree; what is asked for and not there yet is made from
// what is, once however many ask at the same time:
//
//   blob (registry, archive) --read--> tar --pack--> blob (gzip, zstd)
//        |         |                    ^ \
//        v         v                    |  v
//      index      tree ----pack-tree----+  index, tree
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type DiffId, type Digest, hexOf, isDigest } from '../image/digest.ts';
import { compressionOf, layerMediaType } from '../image/media-type.ts';
import { storeFailure } from '../store/failure.ts';
import type { BlobSource, Store } from '../store/store.ts';
import type { ContentSource, LayerInput } from '../tree/entry.ts';
import { arrange } from './arrange.ts';
import { Claims } from './claims.ts';
import { cameWith, descriptorOf, FactsBook, type KnownBlob, type KnownTar, trustedFirst } from './facts.ts';
import { asFailure, gone } from './failure.ts';
import { IndexStore, type PendingIndex } from './index-store.ts';
import type { IndexedEntry } from './indexer.ts';
import type { JobKind, JobOf, JobResults } from './jobs.ts';
import type { LayerId, LayerIndex, Layers, Packing } from './layers.ts';
import { packTar } from './pack.ts';
import { Places, treePrefix } from './places.ts';
import { type BytesPool, sharedPool } from './pool.ts';
import { SharedWork } from './share.ts';
import { squashLayers } from './squash.ts';
import { reliesOnLower, stackKey } from './stack.ts';
import { StoredIndex } from './stored-index.ts';
import { TreeChecks } from './tree-checks.ts';

export interface LayersOptions {
  /** Largest uncompressed layer; default 64 GiB. */
  readonly maxUnpackedBytes?: number;
  /** Threads to work on; default those that the whole process shares. */
  readonly pool?: BytesPool;
}

/** 6 % larger than what docker's compressor makes (Go's level 6), in two thirds of the time of level 4, which makes the same. */
const defaultGzipLevel = 2;

/** @param source gets blobs that are not in the store */
export function openLayers(store: Store, source: BlobSource, options: LayersOptions = {}): Layers {
  return new StoreLayers(store, source, options);
}

interface PackTar {
  readonly compression: 'gzip' | 'zstd';
  readonly level: number;
  readonly tap: Packing['tap'];
}

/** What one pass over a layer's bytes should leave behind besides the index. */
interface Wanted {
  readonly tar?: boolean;
  readonly tree?: boolean;
}

class StoreLayers implements Layers {
  readonly #store: Store;
  readonly #source: BlobSource;
  readonly #pool: BytesPool;
  readonly #maxBytes: number;
  readonly #facts: FactsBook;
  readonly #claims: Claims;
  readonly #indexes: IndexStore;
  readonly #places: Places;
  readonly #checks: TreeChecks;
  readonly #loaded = new Map<LayerId, LayerIndex>();
  readonly #work = new SharedWork();

  constructor(store: Store, source: BlobSource, options: LayersOptions) {
    this.#store = store;
    this.#source = source;
    this.#pool = options.pool ?? sharedPool();
    this.#maxBytes = options.maxUnpackedBytes ?? 64 * 1024 ** 3;
    this.#facts = new FactsBook(store.meta);
    this.#claims = new Claims(this.#facts);
    this.#indexes = new IndexStore(store.root, () => store.tmp);
    this.#places = new Places(store, this.#facts);
    this.#checks = new TreeChecks(store, this.#facts);
  }

  adopt(diffId: DiffId, { mediaType, digest, size }: Descriptor): void {
    if (digest === diffId) this.#facts.setSize(diffId, size);
    const compression = compressionOf(mediaType) ?? (digest === diffId ? 'uncompressed' : 'gzip');
    this.#facts.addBlob(diffId, { mediaType, digest, size, compression });
  }

  claim(id: LayerId, diffId: DiffId, blob: Descriptor): boolean {
    return this.#claims.take(id, diffId, blob, known => this.has(known));
  }

  lost(digest: Digest, error: unknown, signal: AbortSignal): unknown {
    return this.#claims.lost(digest, error, signal);
  }

  has(asked: LayerId): boolean {
    const id = this.#bytesId(asked);
    if (!isDigest(id)) return this.#places.tree(id) !== undefined;
    // A tree alone does not bring back the bytes that the diffId stands for.
    if (this.#store.blobs.path(id) !== undefined) return true;
    return this.#facts.get(id).blobs.some(blob => cameWith(blob) || this.#store.blobs.path(blob.digest));
  }

  fromTree(treeId: string): LayerId {
    if (this.#store.trees.path(treeId) === undefined) {
      throw new BuildError('internal', `there is no tree "${treeId}" to make a layer of`);
    }
    this.#checks.remember(treeId);
    return treePrefix + treeId;
  }

  async write(entries: readonly LayerInput[], signal: AbortSignal): Promise<DiffId> {
    const inputs = arrange(entries);
    await this.#makeReadable(
      inputs.flatMap(input => (input.content ? [input.content] : [])),
      signal,
    );
    const tar = await this.#keepTar(signal, (path, index) =>
      this.#run({ kind: 'write', inputs, tar: path, index }, signal),
    );
    return tar.diffId;
  }

  async index(
    asked: LayerId,
    signal: AbortSignal,
    need: 'names' | 'contents' = 'contents',
  ): Promise<LayerIndex> {
    const id = this.#bytesId(asked);
    if (need === 'contents' && isDigest(id) && !this.#places.hasContents(id)) {
      await this.#ensure(id, { tar: true }, signal);
    }
    if (need === 'contents') await this.#checkContents(id);
    const loaded = this.#loaded.get(id) ?? this.#load(id);
    if (loaded) return loaded;
    if (isDigest(id)) await this.#ensure(id, {}, signal);
    else await this.#scan(id, signal);
    const made = this.#load(id);
    if (!made) throw new BuildError('store', `the index of layer ${id} cannot be read back`);
    return made;
  }

  async tree(id: LayerId, signal: AbortSignal): Promise<string> {
    const there = this.#places.tree(id);
    if (there !== undefined) {
      await this.#checks.check(there);
      return there;
    }
    const diffId = this.#bytesId(id);
    if (!isDigest(diffId)) throw gone(id);
    await this.#ensure(diffId, { tree: true }, signal);
    const made = this.#places.tree(diffId);
    if (made === undefined) throw new BuildError('store', `the tree of layer ${diffId} vanished`);
    return made;
  }

  trees(ids: readonly LayerId[], signal: AbortSignal): Promise<readonly string[]> {
    return Promise.all(ids.map((_, i) => this.#topTree(ids.slice(0, i + 1), signal)));
  }

  async diffId(asked: LayerId, signal: AbortSignal, clampSec?: number): Promise<DiffId> {
    const id = this.#bytesId(asked);
    return isDigest(id) && clampSec === undefined ? id : (await this.tar(id, signal, clampSec)).diffId;
  }

  async tar(asked: LayerId, signal: AbortSignal, clampSec?: number): Promise<KnownTar> {
    const id = this.#bytesId(asked);
    if (isDigest(id)) {
      await this.#ensure(id, { tar: true }, signal);
      const plain = { diffId: id, size: this.#store.blobs.size(id) ?? 0 };
      return clampSec === undefined ? plain : this.#clamped(plain, clampSec, signal);
    }
    const clamp = clampSec === undefined ? '' : String(clampSec);
    return this.#work.run(`tar ${clamp} ${id}`, signal, async own => {
      const known = this.#tarOf(id, clamp);
      if (known) return known;
      const tree = this.#places.tree(id);
      if (tree === undefined) throw gone(id);
      await this.#checks.check(tree);
      const tar = await this.#keepTar(own, (path, index) =>
        this.#run(
          { kind: 'pack-tree', tree, tar: path, index, ...(clampSec === undefined ? {} : { clampSec }) },
          own,
        ),
      );
      this.#facts.addTar(id, clamp, tar);
      // Another name of the same files: whoever builds on the image needs not unpack it.
      if (clamp === '') {
        this.#facts.update(tar.diffId, facts => ({ ...facts, tree: id.slice(treePrefix.length) }));
      }
      return tar;
    });
  }

  async blob(asked: LayerId, packing: Packing, signal: AbortSignal): Promise<Descriptor> {
    const { compression, format, clampSec, force, lazy } = packing;
    const id = this.#bytesId(asked);
    if (isDigest(id) && clampSec === undefined && !force) {
      const own = this.#ownBlob(id, packing);
      if (own) {
        const descriptor = descriptorOf(own, layerMediaType(own.compression, format));
        if (!lazy) await this.#fetch(own, signal);
        if (!lazy && own.claimed) await this.#ensure(id, {}, signal);
        return descriptor;
      }
    }
    const { diffId, size } = await this.tar(id, signal, clampSec);
    if (compression === 'uncompressed') {
      return { mediaType: layerMediaType(compression, format), digest: diffId, size };
    }
    const level = packing.level ?? (compression === 'gzip' ? defaultGzipLevel : 3);
    const blob = await this.#work.run(`pack ${compression} ${level} ${diffId}`, signal, own =>
      this.#packed(diffId, { compression, level, tap: packing.tap }, own),
    );
    return descriptorOf(blob, layerMediaType(compression, format));
  }

  /** Contents name themselves when they cannot be read; what else fails in a job is the store's disk. */
  async #run<K extends JobKind>(job: JobOf<K>, signal?: AbortSignal): Promise<JobResults[K]> {
    try {
      return await this.#pool.run(job, signal);
    } catch (error) {
      throw storeFailure(error, 'working on a layer', this.#store.root);
    }
  }

  // Blobs

  /**
   * What the layer came with: packed as asked for if there is a choice. A bare tar is no packing: archives and the store's
   * own images have those.
   */
  #ownBlob(id: DiffId, { compression }: Packing): KnownBlob | undefined {
    const own = trustedFirst(this.#facts.get(id).blobs.filter(cameWith));
    return (
      own.find(blob => blob.compression === compression) ??
      own.find(blob => blob.compression !== 'uncompressed')
    );
  }

  async #packed(diffId: DiffId, how: PackTar, signal: AbortSignal): Promise<KnownBlob> {
    const { compression, level } = how;
    const known = this.#facts
      .get(diffId)
      .blobs.find(blob => blob.compression === compression && blob.level === level);
    if (known && this.#store.blobs.path(known.digest) !== undefined) return known;
    const path = this.#store.blobs.path(diffId);
    if (path === undefined) throw gone(diffId);
    await using ingest = await this.#store.blobs.ingest();
    const { digest, size } = await this.#packTar(path, diffId, ingest.path, how, signal);
    await ingest.commit(digest);
    const blob: KnownBlob = {
      mediaType: layerMediaType(compression, 'oci'),
      digest,
      size,
      compression,
      level,
    };
    this.#facts.addBlob(diffId, blob);
    return blob;
  }

  /** A damaged tar is removed, so that it is made again. */
  async #packTar(
    path: string,
    diffId: DiffId,
    into: string,
    how: PackTar,
    signal: AbortSignal,
  ): Promise<{ digest: Digest; size: number }> {
    try {
      return await packTar(path, diffId, into, how, signal, how.tap);
    } catch (error) {
      if (error instanceof BuildError && error.facts.damaged !== undefined) {
        await this.#store.blobs.remove(diffId);
      }
      throw error;
    }
  }

  async #fetch(blob: KnownBlob, signal: AbortSignal): Promise<void> {
    if (this.#store.blobs.path(blob.digest) !== undefined) return;
    try {
      await this.#work.run(`fetch ${blob.digest}`, signal, own =>
        this.#source.fetch(descriptorOf(blob), own),
      );
    } catch (error) {
      throw this.lost(blob.digest, error, signal);
    }
  }

  // Tars

  #tarOf(id: LayerId, clamp: string): KnownTar | undefined {
    const tar = this.#facts.get(id).tars?.[clamp];
    return tar && this.#store.blobs.path(tar.diffId) !== undefined ? tar : undefined;
  }

  async #clamped(plain: KnownTar, clampSec: number, signal: AbortSignal): Promise<KnownTar> {
    const known = this.#tarOf(plain.diffId, String(clampSec));
    if (known) return known;
    const { entries } = await this.index(plain.diffId, signal);
    const isLater = entries.some(
      ({ mtimeSec, mtimeNsec }) => mtimeSec > clampSec || (mtimeSec === clampSec && mtimeNsec > 0),
    );
    if (!isLater) return plain;
    return this.#work.run(`clamp ${clampSec} ${plain.diffId}`, signal, async own => {
      const file = this.#places.tar(plain.diffId);
      const tar = await this.#keepTar(own, (path, index) =>
        this.#run({ kind: 'clamp', file, tar: path, index, clampSec }, own),
      );
      this.#facts.addTar(plain.diffId, String(clampSec), tar);
      return tar;
    });
  }

  /** Runs a job that writes a tar of ours, and takes the tar with its index into the store. */
  async #keepTar(
    signal: AbortSignal,
    write: (path: string, index: PendingIndex['paths']) => Promise<KnownTar>,
  ): Promise<KnownTar> {
    await using ingest = await this.#store.blobs.ingest();
    using index = this.#indexes.begin();
    const tar = await write(ingest.path, index.paths);
    signal.throwIfAborted();
    await ingest.commit(tar.diffId);
    index.keep(hexOf(tar.diffId));
    this.#facts.setSize(tar.diffId, tar.size);
    return tar;
  }

  // Reading a layer that came from outside

  #ensure(diffId: DiffId, wanted: Wanted, signal: AbortSignal): Promise<void> {
    if (this.#isThere(diffId, wanted)) return Promise.resolve();
    // One pass at a time for a layer: the second may find everything made by the first.
    return this.#work.run(
      `read ${diffId} ${wanted.tar ? 'tar' : ''} ${wanted.tree ? 'tree' : ''}`,
      signal,
      own => this.#read(diffId, wanted, own),
    );
  }

  #isThere(diffId: DiffId, { tar, tree }: Wanted): boolean {
    if (tar && this.#store.blobs.path(diffId) === undefined) return false;
    if (tree && this.#places.tree(diffId) === undefined) return false;
    return Boolean(tar || tree || this.#load(diffId));
  }

  async #read(diffId: DiffId, wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { file, blob } = await this.#bytesOf(diffId, signal);
    await using ingest = wanted.tar ? await this.#store.blobs.ingest() : undefined;
    await using tree = wanted.tree ? await this.#store.trees.begin() : undefined;
    using index = this.#indexes.begin();
    const { size } = await this.#run(
      {
        kind: 'read',
        file,
        name: diffId,
        diffId,
        index: index.paths,
        maxBytes: this.#maxBytes,
        ...(ingest ? { tar: ingest.path } : {}),
        ...(tree ? { tree: tree.fs } : {}),
      },
      signal,
    ).catch((error: unknown) => {
      throw blob?.claimed ? this.lost(blob.digest, error, signal) : error;
    });
    signal.throwIfAborted();
    await ingest?.commit(diffId);
    await tree?.commit(hexOf(diffId));
    if (tree) this.#checks.remember(hexOf(diffId));
    index.keep(hexOf(diffId));
    this.#facts.setSize(diffId, size);
  }

  /** A file that holds the layer: its tar, or a blob that packs it, fetched when it has to be. */
  async #bytesOf(diffId: DiffId, signal: AbortSignal): Promise<{ file: string; blob?: KnownBlob }> {
    const tar = this.#store.blobs.path(diffId);
    if (tar !== undefined) return { file: tar };
    const blobs = trustedFirst(this.#facts.get(diffId).blobs);
    const here = blobs.find(blob => this.#store.blobs.path(blob.digest) !== undefined);
    const blob = here ?? blobs.find(cameWith);
    if (!blob) throw gone(diffId);
    await this.#fetch(blob, signal);
    const file = this.#store.blobs.path(blob.digest);
    if (file === undefined)
      throw new BuildError('internal', `the blob ${blob.digest} was fetched but is not there`);
    return { file, blob };
  }

  // Trees

  /** What a layer whose tree is not here is known by otherwise: the diffId that it was once written as, or has elsewhere. */
  #bytesId(id: LayerId): LayerId {
    if (isDigest(id) || this.#places.tree(id) !== undefined) return id;
    const { tars, claimedAs } = this.#facts.get(id);
    return tars?.['']?.diffId ?? claimedAs ?? id;
  }

  /** The topmost of `ids` as a tree that is right above the others. */
  async #topTree(ids: readonly LayerId[], signal: AbortSignal): Promise<string> {
    const id = ids.at(-1) ?? '';
    // Unpacking comes first because it makes the index in the same pass. It fails for a link into a lower layer.
    const alone = await this.tree(id, signal).catch((error: unknown) => asFailure(error));
    if (ids.length > 1 && !signal.aborted) {
      const index = await this.index(id, signal, 'names').catch(() => undefined);
      if (index && reliesOnLower(index)) return this.#stackedTree(ids, signal);
    }
    if (typeof alone === 'string') return alone;
    throw alone;
  }

  async #stackedTree(ids: readonly LayerId[], signal: AbortSignal): Promise<string> {
    const key = stackKey(ids);
    const { diffId } = await this.#work.run(key, signal, async own => {
      const known = this.#tarOf(key, '');
      if (known) return known;
      const indexes = await Promise.all(ids.map(id => this.index(id, own, 'names')));
      const written = await this.write(squashLayers(indexes, indexes.length - 1), own);
      const tar = { diffId: written, size: this.#store.blobs.size(written) ?? 0 };
      this.#facts.addTar(key, '', tar);
      return tar;
    });
    return this.tree(diffId, signal);
  }

  async #scan(id: LayerId, signal: AbortSignal): Promise<void> {
    const tree = this.#places.tree(id);
    if (tree === undefined) throw gone(id);
    await this.#work.run(`scan ${id}`, signal, async own => {
      using index = this.#indexes.begin();
      await this.#run({ kind: 'scan', tree, index: index.paths }, own);
      index.keep(indexName(id));
    });
  }

  // Indexes

  async #checkContents(id: LayerId): Promise<void> {
    const place = this.#places.of(id);
    if (place?.kind === 'tree') await this.#checks.check(place.path);
  }

  #load(id: LayerId): LayerIndex | undefined {
    const loaded = this.#loaded.get(id);
    if (loaded) return loaded;
    const name = indexName(id);
    const list = this.#indexes.load(name);
    if (!list) return undefined;
    const index = this.#indexOf(id, name, list);
    this.#loaded.set(id, index);
    return index;
  }

  #indexOf(id: LayerId, name: string, list: readonly IndexedEntry[]): LayerIndex {
    const never = new AbortController().signal;
    return new StoredIndex(list, {
      place: () => {
        const place = this.#places.of(id);
        if (place === undefined) throw gone(id);
        return place;
      },
      sparsePath: this.#indexes.sparsePath(name),
      hash: async contents => {
        await this.#makeReadable(contents, never);
        return this.#run({ kind: 'hash', contents });
      },
      remember: digests => this.#indexes.rememberDigests(name, digests),
    });
  }

  /** Makes the tars that contents lie in and that nobody has written yet. */
  async #makeReadable(contents: readonly ContentSource[], signal: AbortSignal): Promise<void> {
    const files = new Set(contents.flatMap(content => (content.kind === 'range' ? [content.file] : [])));
    const layers = [...this.#loaded.keys()].filter(
      (id): id is Digest => isDigest(id) && files.has(this.#places.tar(id)),
    );
    await Promise.all(layers.map(id => this.#ensure(id, { tar: true }, signal)));
  }
}

function indexName(id: LayerId): string {
  return isDigest(id) ? hexOf(id) : `tree-${id.slice(treePrefix.length)}`;
}
