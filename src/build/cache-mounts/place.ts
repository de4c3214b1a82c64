// Where cache mounts travel to and come from: the same questions for a registry and a directory.
import type { Compression } from '../../image/media-type.ts';
import type { Reference } from '../../image/reference.ts';
import type { PushBlob } from '../../registry/push.ts';
import type { MountLayer } from './artifact.ts';

export type PlaceSpec =
  | { readonly type: 'registry'; readonly ref: Reference }
  /** An OCI layout; `dir` is absolute. */
  | { readonly type: 'local'; readonly dir: string; readonly tag: string };

export interface MountSource {
  /** Ids of the mounts that are taken from here; absent: any. */
  readonly ids?: readonly string[];
  readonly place: PlaceSpec;
  /** Mounts that have content here are replaced too. Default false. */
  readonly overwrite: boolean;
}

export interface MountTarget {
  /** Ids of the mounts that go there; absent: those that the Dockerfile names. */
  readonly ids?: readonly string[];
  readonly place: PlaceSpec;
  readonly compression: Compression;
  /** On the codec's own scale; absent: its default. */
  readonly level?: number;
  /** A failure is a warning. Default false. */
  readonly ignoreError: boolean;
}

export interface Place {
  /** For people. */
  readonly name: string;
  /** The mounts that are there; undefined when there are none yet. @throws BuildError `network`, `unsupported`, ... */
  list(signal: AbortSignal): Promise<readonly MountLayer[] | undefined>;
  /** Writes the bytes of a layer to `file`, checked. @throws BuildError */
  fetch(layer: MountLayer, file: string, signal: AbortSignal): Promise<void>;
  /**
   * Replaces what is there by what `merge` makes of it; undefined leaves it. A new layer's blob is in what is returned.
   * @throws BuildError
   */
  update(merge: Merge, signal: AbortSignal): Promise<void>;
}

export type Merge = (
  there: readonly MountLayer[],
) => Promise<{ readonly layers: readonly MountLayer[]; readonly blobs: readonly PushBlob[] } | undefined>;
