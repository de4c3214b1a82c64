// What a build hands to the exporters: the image without its packing. Manifests are made here, because compression and
// media types are the destination's wish.
import type { ImageConfig } from '../image/config.ts';
import type { DiffId, Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import type { LayerId } from '../layer/layers.ts';

export interface FinishedImage {
  readonly config: ImageConfig;
  /** The encoded config; its digest is the image id. */
  readonly configBytes: string;
  readonly configDigest: Digest;
  /** Lowest first; as many as `diffIds`. */
  readonly layers: readonly LayerId[];
  readonly diffIds: readonly DiffId[];
  /** How many of the layers, from below, came with the base image. */
  readonly baseLayers: number;
  readonly platform: Platform;
  /** Full form: `docker.io/library/app:latest`. */
  readonly names: readonly string[];
  /** For the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
  /** SOURCE_DATE_EPOCH in seconds: file times in the image's own layers are no later. */
  readonly createdSec?: number;
}

/** What is exported: one image, or one per platform under an index. */
export type ExportInput =
  | { readonly kind: 'image'; readonly image: FinishedImage }
  | {
      readonly kind: 'index';
      readonly images: readonly FinishedImage[];
      readonly names: readonly string[];
      readonly annotations: Readonly<Record<string, string>>;
    };

export function imagesOf(input: ExportInput): readonly FinishedImage[] {
  return input.kind === 'image' ? [input.image] : input.images;
}

export function namesOf(input: ExportInput): readonly string[] {
  return input.kind === 'image' ? input.image.names : input.names;
}
