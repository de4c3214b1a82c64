// The store's interface. On disk it is an OCI image layout with the rooms trees/, meta/ and ingest/ beside it
// (HOUSE decision 9); store/open.ts makes one. Other rooms see these interfaces only.
import type { Descriptor } from '../image/descriptor.ts';
import type { DiffId, Digest } from '../image/digest.ts';

/** A file being written into the store; nothing is visible under its final name before `commit`. */
export interface Ingest {
  /** Host path to write to, created empty with mode 0600; on the same file system as the store. */
  readonly path: string;
  /**
   * Fsyncs, then renames to the blob's final name; a blob that is there already is kept. The caller has computed the
   * digest while writing.
   * @throws BuildError `store` when the disk is full or not writable
   */
  commit(digest: Digest): Promise<void>;
  /** Removes the file unless committed; called by `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Blobs by digest. A layer's uncompressed tar is the blob whose digest is the layer's diffId. */
export interface BlobStore {
  /** Host path of a blob that is here; undefined otherwise. */
  path(digest: Digest): string | undefined;
  size(digest: Digest): number | undefined;
  ingest(): Promise<Ingest>;
  /** Writes a small blob (manifest, config). */
  put(bytes: Uint8Array | string): Promise<Digest>;
  /** A small blob's bytes, digest verified. @throws BuildError `store` when damaged, `not-found` when absent */
  read(digest: Digest, maxBytes?: number): Promise<Buffer>;
  remove(digest: Digest): Promise<void>;
}

/** Unpacked layers in overlay format: `trees/<id>/fs`. An id is made by the caller: `[a-z0-9-]+`. */
export interface TreeStore {
  /** Path of a complete tree's `fs` directory; undefined when it is not here or was left incomplete. */
  path(id: string): string | undefined;
  /** A fresh directory (mode 0700, with an empty `fs` in it) on the store's file system, to be filled. */
  begin(): Promise<TreeIngest>;
  remove(id: string): Promise<void>;
}

export interface TreeIngest {
  /** The `fs` directory to fill; its parent may hold helper directories such as overlay's work directory. */
  readonly fs: string;
  readonly dir: string;
  /** Renames to trees/<id> (helper directories removed first); an equal id that is there already wins. @returns path of `fs` */
  commit(id: string): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Small facts in LMDB: shared by processes, crash-safe. Values are JSON; a value that does not parse is absent. */
export interface Meta {
  get(space: MetaSpace, key: string): unknown;
  /** Visible to this process at once; durable after {@link flush}. */
  set(space: MetaSpace, key: string, value: unknown): void;
  delete(space: MetaSpace, key: string): void;
  /** In key order, keys that start with `prefix`. */
  entries(space: MetaSpace, prefix?: string): Iterable<readonly [string, unknown]>;
  flush(): Promise<void>;
  /** `space/key` of values that are there and do not read as what was written. @param space default: everywhere */
  damaged(space?: MetaSpace): readonly string[];
  /** Removes a value by its full name, as {@link damaged} gives it. */
  forget(fullKey: string): void;
  /** Resolves when other processes see what was written here; sooner than {@link flush}, and not yet durable. */
  share(): Promise<void>;
}

export type MetaSpace =
  | 'names' // image name -> ImageName
  | 'layers' // layer id -> LayerInfo (layer/)
  | 'origins' // digest -> repositories that hold the blob
  | 'records' // cache key -> step result (cache/)
  | 'stat' // device:inode -> content digest (cache/)
  | 'builds' // what the last build of each project came to, and where like steps were recorded (cache/)
  | 'downloads' // digest of a URL -> what its server gave last, and how to ask whether that has changed (build/)
  | 'misc';

/**
 * Who gave a name: somebody here (`-t`, `tag`, `import`), the registry that it was pulled from, or a file that was loaded.
 * A file may call its images anything, so what FROM means never follows from that.
 */
export type NameOrigin = 'here' | 'registry' | 'file';

/** A name in the store and what it stands for. */
export interface NamedImage {
  /** Full form: docker.io/library/app:latest. */
  readonly name: string;
  /** Of the manifest or index. */
  readonly descriptor: Descriptor;
  /** When the name was set; RFC 3339. */
  readonly at: string;
  readonly from: NameOrigin;
}

/** An image that is kept without a name, until it is pruned. */
export type UntaggedImage = Pick<NamedImage, 'descriptor' | 'at'>;

export interface Names {
  get(name: string): NamedImage | undefined;
  /**
   * Everything that `descriptor` reaches must be in the store, or its origin recorded, before. Also keeps index.json.
   * What the name stood for before, and no other name stands for, stays as an image without a name.
   * @param from default `here`
   */
  set(name: string, descriptor: Descriptor, from?: NameOrigin): Promise<void>;
  /** The image itself goes with the next garbage collection, unless another name stands for it or `keep` is called. */
  delete(name: string): Promise<boolean>;
  list(): readonly NamedImage[];
  /** Keeps an image that no name stands for. */
  keep(descriptor: Descriptor): Promise<void>;
  /** Undoes {@link keep}. */
  drop(digest: Digest): Promise<boolean>;
  /** Images that are kept and that no name stands for. */
  untagged(): readonly UntaggedImage[];
}

export interface Store {
  readonly root: string;
  readonly blobs: BlobStore;
  readonly trees: TreeStore;
  readonly meta: Meta;
  readonly names: Names;
  /** A directory for temporary files, on the store's file system, mode 0700. */
  readonly tmp: string;
  close(): Promise<void>;
}

/** Gets a blob that is not in the store, from wherever it was said to be (registry, archive). */
export interface BlobSource {
  /** Streams the blob into the store, verified; resolves when it is committed. @throws BuildError */
  fetch(descriptor: Descriptor, signal: AbortSignal): Promise<void>;
}

export type { Descriptor, DiffId, Digest };
