// The layer room's interface: a layer is bytes or a tree, and either is made from the other only when somebody
// asks (HOUSE decision 2). layer/store-layers.ts implements it on the store.
import type { Descriptor } from '../image/descriptor.ts';
import type { DiffId, Digest } from '../image/digest.ts';
import type { Compression } from '../image/media-type.ts';
import type { BytePath, ContentSource, LayerEntry, LayerInput } from '../tree/entry.ts';
import type { FileTree } from '../tree/file-tree.ts';

/** `sha256:...` (a diffId) for a layer known by its bytes, `tree:<id>` for one that a RUN made and nobody serialised yet. */
export type LayerId = string;

/** Everything in a layer without the bytes of its files, in byte order of the paths. */
export interface LayerIndex {
  readonly entries: readonly LayerEntry[];
  content(entry: LayerEntry): ContentSource;
  /** sha256 of the contents of files, in the order given; remembered with the layer. */
  digests?(entries: readonly LayerEntry[]): Promise<readonly Digest[]>;
}

export interface Layers {
  /** Makes a base's layer known by its diffId and the descriptor of the blob that packs it; nothing is fetched. */
  adopt(diffId: DiffId, blob: Descriptor): void;
  /**
   * Takes a build cache's word for it that the layer `id` has this diffId and is packed in this blob; nothing is fetched.
   * What is known of the layer otherwise goes before, and a blob that turns out to be missing or something else is a
   * BuildError with the fact `damaged`, after which the claim is forgotten.
   * @returns whether the layer can be had now; false when the claim contradicts what is known here
   */
  claim(id: LayerId, diffId: DiffId, blob: Descriptor): boolean;
  /** Forgets the claim about a blob that could not be fetched for {@link claim}'s sake. @returns what to throw instead of `error` */
  lost(digest: Digest, error: unknown, signal: AbortSignal): unknown;
  /**
   * Writes a layer as a deterministic tar into the store: entries sorted, directories before their content, PAX only
   * where ustar does not suffice, no user names. Parent directories are the caller's.
   */
  write(entries: readonly LayerInput[], signal: AbortSignal): Promise<DiffId>;
  /** Whether the layer can still be had: its bytes or tree are in the store, or it is known where to fetch them. */
  has(id: LayerId): boolean;
  /** Takes over a committed tree of the store (an overlay upper directory) as a layer. */
  fromTree(treeId: string): LayerId;
  /**
   * Entries of a layer; fetched, inflated, verified and remembered as needed.
   * @param need `names` when contents are hardly ever asked for (finding the place of a COPY): a base layer is then not
   *   written out as a tar. Its contents can still be given to {@link write} and asked for their digests, the bytes of
   *   etc/passwd and etc/group are always at hand; others must not be read. Default `contents`
   */
  index(id: LayerId, signal: AbortSignal, need?: 'names' | 'contents'): Promise<LayerIndex>;
  /** Path of the layer as an overlay-format directory, unpacked once (needs root or a user namespace). */
  tree(id: LayerId, signal: AbortSignal): Promise<string>;
  /**
   * The directories to mount over each other for a list of layers, lowest first. Most are those of {@link tree}; a layer
   * that relies on the ones below it (it lists a file but not its directory, puts one below a symlinked directory or
   * links to a file of theirs) means something else on its own and is unpacked for this stack.
   */
  trees(ids: readonly LayerId[], signal: AbortSignal): Promise<readonly string[]>;
  /**
   * The uncompressed tar as a blob.
   * @param clampSec SOURCE_DATE_EPOCH: later modification times become this one (seconds)
   */
  tar(id: LayerId, signal: AbortSignal, clampSec?: number): Promise<{ diffId: DiffId; size: number }>;
  /** The diffId that {@link tar} gives, without the bytes where it is known. */
  diffId(id: LayerId, signal: AbortSignal, clampSec?: number): Promise<DiffId>;
  /**
   * The layer packed for a manifest. Without `force` a compressed blob that the layer came with is taken as it is,
   * whatever its codec. The blob is in the store afterwards, unless `lazy` allowed it to stay where it can be fetched from.
   * @param level codec's own scale; default gzip 2, zstd 3
   */
  blob(id: LayerId, packing: Packing, signal: AbortSignal): Promise<Descriptor>;
}

/** Is given the bytes of a blob while it is packed, so that they can be sent at the same time. Nothing here throws. */
export interface BlobTap {
  /** The next bytes; resolves when more can be taken. */
  write(chunk: Uint8Array): Promise<void>;
  /** All bytes were given and hash to this. */
  end(digest: Digest): Promise<unknown>;
  /** What was given is worth nothing. */
  abort(): void;
}

export interface Packing {
  readonly compression: Compression;
  readonly level?: number;
  readonly force?: boolean;
  readonly format: 'oci' | 'docker';
  readonly clampSec?: number;
  /** For destinations that may have the blob already: one that the layer came with is not fetched. Default false. */
  readonly lazy?: boolean;
  /** Called when the blob has to be packed now. */
  readonly tap?: () => BlobTap | Promise<BlobTap>;
}

/** The file system that a list of layers makes, lowest first, as a tree to read from. Pure and in memory: nothing is mounted. */
export interface View extends FileTree {
  /** Follows symlinks in every component, within the root, as the kernel would in a chroot. @returns the literal path, or undefined when something on the way is missing or no directory */
  resolve(path: BytePath): BytePath | undefined;
  /** Which layer (position in the list) an entry came from. */
  layerOf(path: BytePath): number | undefined;
}
