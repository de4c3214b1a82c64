// Where an artifact (a manifest with a small config and blobs) is kept under a name that several machines may write at
// once: a registry or an OCI layout. What the config says is the caller's; blobs are verified by whoever fetches them.
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, digestOf } from '../image/digest.ts';
import { encodeManifest, type Manifest } from '../image/manifest.ts';
import { mediaTypes } from '../image/media-type.ts';
import type { Platform } from '../image/platform.ts';

/** An artifact as it was read: digests and sizes of manifest and config were checked. */
export interface Artifact {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: Buffer;
}

/** What is to be published. */
export interface Draft {
  readonly configType: string;
  /** Default: the config's type; false: the manifest says none, as before OCI image-spec 1.1. */
  readonly artifactType?: string | false;
  readonly config: string;
  readonly layers: readonly Descriptor[];
}

export interface Place {
  /** For people. */
  readonly name: string;
  /**
   * What the name stands for: one artifact, or of an index those for `platforms`; nothing when nobody wrote it yet.
   * @throws BuildError `network`, `auth`, `integrity`, `hostile`, `unsupported`
   */
  read(platforms: readonly Platform[], signal: AbortSignal): Promise<readonly Artifact[]>;
  /** Remembers in the store that this place has the blob, so that the store's blob source finds it. */
  remember(blob: Digest): void;
  /**
   * Replaces what the name stands for, until it is as `draft` wants it also after others wrote at the same time.
   * @param blobs those that a draft may list and that the place may lack; in the store, or it is known where to get them
   * @param draft given what is there, what shall be there; undefined: nothing has to change. Called again after others wrote
   * @throws BuildError what `draft` throws; `network`, `auth`, `output`; before it, the name stands for what it did
   */
  update(
    blobs: readonly Descriptor[],
    draft: (current: Artifact | undefined) => Draft | undefined,
    signal: AbortSignal,
  ): Promise<void>;
}

/** The config of an artifact that says everything in its manifest (OCI image-spec, manifest.md). */
export const emptyConfig = { type: mediaTypes.ociEmpty, text: '{}', digest: digestOf('{}') } as const;

/** A draft as the documents that are stored. */
export interface Documents {
  readonly manifest: { readonly descriptor: Descriptor; readonly bytes: string };
  readonly config: { readonly descriptor: Descriptor; readonly bytes: string };
}

export function documentsOf({ configType, artifactType = configType, config, layers }: Draft): Documents {
  const configDescriptor = describe(configType, config);
  const bytes = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    ...(artifactType ? { artifactType } : {}),
    config: configDescriptor,
    layers,
    annotations: {},
  });
  return {
    manifest: { descriptor: describe(mediaTypes.ociManifest, bytes), bytes },
    config: { descriptor: configDescriptor, bytes: config },
  };
}

function describe(mediaType: string, bytes: string): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: Buffer.byteLength(bytes) };
}
