// Where cache mounts travel to and come from.
import type { Place } from '../../artifact/place.ts';
import type { Reference } from '../../image/reference.ts';
import type { BlobSource, Store } from '../../store/store.ts';
import type { Packing, S3Storage } from '../storage-spec.ts';

export type MountPlace =
  | S3Storage
  | { readonly kind: 'registry'; readonly ref: Reference }
  /** An OCI layout; `src` is absolute. What is replaced there leaves it. */
  | { readonly kind: 'local'; readonly src: string; readonly tag: string; readonly tidy: true };

export interface MountSource {
  /** Ids of the mounts that are taken from here; absent: any. */
  readonly ids?: readonly string[];
  readonly place: MountPlace;
  /** Mounts that have content here are replaced too. Default false. */
  readonly overwrite: boolean;
}

export interface MountTarget extends Packing {
  /** Ids of the mounts that go there; absent: those that the Dockerfile names. */
  readonly ids?: readonly string[];
  readonly place: MountPlace;
  /** A failure is a warning. Default false. */
  readonly ignoreError: boolean;
}

/** What travels passes through a store of its own: blobs of mounts are of no use to the store of images. */
export interface MountDepot {
  readonly store: Store;
  /** Gets blobs from where the places remembered them to be. */
  readonly source: BlobSource;
  /** Nothing is contacted yet. */
  open(spec: MountPlace): Promise<Place>;
  [Symbol.asyncDispose](): Promise<void>;
}
