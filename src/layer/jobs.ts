// What can be asked of a bytes worker, as values: both sides of the thread see these types only.
import type { Digest } from '../image/digest.ts';
import type { ContentSource, LayerInput } from '../tree/entry.ts';

/** A tar that was written or read. */
export interface TarFacts {
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar. */
  readonly size: number;
}

export interface TreeFacts {
  readonly entries: number;
}

/** Where a job puts the index of the layer, and the contents of its sparse files when it has any. */
export interface IndexPaths {
  readonly index: string;
  readonly sparse: string;
}

export type Job =
  /** Writes entries as a deterministic tar. */
  | {
      readonly kind: 'write';
      readonly inputs: readonly LayerInput[];
      readonly tar: string;
      readonly index: IndexPaths;
      readonly clampSec?: number;
    }
  /**
   * Reads a layer's blob, or its tar, once: inflates, checks the diffId, and makes what was asked for of tar, tree and
   * index.
   */
  | {
      readonly kind: 'read';
      readonly file: string;
      /** For messages. */
      readonly name: string;
      readonly diffId: Digest;
      readonly index: IndexPaths;
      readonly tar?: string;
      /** An empty directory to unpack into, in overlay format. */
      readonly tree?: string;
      readonly maxBytes: number;
    }
  /** Lists an overlay-format tree. */
  | { readonly kind: 'scan'; readonly tree: string; readonly index: IndexPaths }
  /** Writes an overlay-format tree as a deterministic tar. */
  | {
      readonly kind: 'pack-tree';
      readonly tree: string;
      readonly tar: string;
      readonly index: IndexPaths;
      readonly clampSec?: number;
    }
  /** Writes a tar anew with later modification times set to `clampSec`. */
  | {
      readonly kind: 'clamp';
      readonly file: string;
      readonly tar: string;
      readonly index: IndexPaths;
      readonly clampSec: number;
    }
  /** Writes a directory, as it is, as a deterministic tar. */
  | { readonly kind: 'pack-files'; readonly root: string; readonly tar: string }
  /** Unpacks such a tar, compressed or not, into an empty directory, and checks its diffId. */
  | {
      readonly kind: 'unpack-files';
      readonly file: string;
      /** For messages. */
      readonly name: string;
      readonly diffId: Digest;
      readonly into: string;
      readonly maxBytes: number;
    }
  /** sha256 of each content. */
  | { readonly kind: 'hash'; readonly contents: readonly ContentSource[] };

export interface JobResults {
  write: TarFacts;
  read: TarFacts;
  scan: TreeFacts;
  'pack-tree': TarFacts;
  clamp: TarFacts;
  'pack-files': TarFacts;
  'unpack-files': TarFacts;
  hash: readonly Digest[];
}

export type JobKind = Job['kind'];
export type JobOf<K extends JobKind> = Extract<Job, { kind: K }>;

/** What a worker answers. */
export type Answer =
  | { readonly ok: true; readonly value: JobResults[JobKind] }
  | { readonly ok: false; readonly error: PlainError };

/** An error as it crosses threads; `code` is absent for one that is no BuildError. */
export interface PlainError {
  readonly code?: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly facts?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly errno?: string | undefined;
  readonly stack?: string | undefined;
}
