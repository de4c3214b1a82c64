// What exporters may use, and what they say when they are done.
import type { Writable } from 'node:stream';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { BlobTap, LayerId, Layers } from '../layer/layers.ts';
import type { Store } from '../store/store.ts';
import type { FileTree } from '../tree/file-tree.ts';

/**
 * Sends an image to the registry of `name`. Config, manifests and index are in the store; a layer blob is there, or the
 * store knows where it came from (`origins`).
 * @throws BuildError `auth`, `network`
 */
export type Push = (
  target: {
    /** Full form: `docker.io/library/app:latest`. */
    readonly name: string;
    /** Manifest or index. */
    readonly root: Descriptor;
    /** No tag is set. */
    readonly byDigest: boolean;
  },
  signal: AbortSignal,
) => Promise<void>;

/** Begins to send a blob to the repository of `name` while it is packed. */
export type StreamBlob = (name: string, signal: AbortSignal) => Promise<BlobTap>;

export interface ExportTools {
  readonly store: Store;
  readonly layers: Layers;
  /** The file system that layers make, lowest first. */
  view(layers: readonly LayerId[], signal: AbortSignal): Promise<FileTree>;
  readonly push: Push;
  /** Absent: blobs are sent when they are complete. */
  readonly stream?: StreamBlob;
  readonly stdout: Writable;
  readonly stdoutIsTerminal: boolean;
  /** Destinations are relative to this directory. */
  readonly cwd: string;
}

/** What was made, for `--metadata-file`, `--iidfile` and the last line of output. */
export interface Receipt {
  /** Where: an absolute path, `-`, or image names. */
  readonly to: readonly string[];
  /** Manifest or index; absent for outputs that are no image. */
  readonly root?: Descriptor;
  /** Of the first platform. */
  readonly configDigest?: Digest;
}
