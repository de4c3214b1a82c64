// Cache mounts as an OCI artifact: a manifest with one layer for each mount (docs/cache-mounts.md has the format). Pure.
import type { Descriptor } from '../../image/descriptor.ts';
import { type DiffId, digestOf, isDigest } from '../../image/digest.ts';
import { encodeManifest, type Index, type Manifest } from '../../image/manifest.ts';
import { type Compression, layerMediaType, mediaTypes } from '../../image/media-type.ts';

export const artifactType = 'application/vnd.slipway.cache-mounts.v1';

const keys = { id: 'org.slipway.cache-mount.id', diffId: 'org.slipway.cache-mount.diff-id' } as const;

/** One cache mount in an artifact. */
export interface MountLayer {
  /** As the Dockerfile names it. */
  readonly id: string;
  /** Of the uncompressed tar: equal for equal content, however it is compressed. */
  readonly diffId: DiffId;
  readonly descriptor: Descriptor;
}

/** What every artifact has for a config. */
export const emptyConfig = {
  bytes: '{}',
  descriptor: { mediaType: mediaTypes.ociEmpty, digest: digestOf('{}'), size: 2 },
} as const;

export function mountLayer(
  id: string,
  diffId: DiffId,
  blob: Pick<Descriptor, 'digest' | 'size'>,
  compression: Compression,
): MountLayer {
  const annotations = { [keys.diffId]: diffId, [keys.id]: id };
  const { digest, size } = blob;
  const mediaType = layerMediaType(compression, 'oci');
  return { id, diffId, descriptor: { mediaType, digest, size, annotations } };
}

/** The bytes of the manifest; equal mounts give equal bytes. */
export function encodeArtifact(layers: readonly MountLayer[]): string {
  const sorted = [...layers].sort((a, b) => (a.id < b.id ? -1 : 1));
  return encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    artifactType,
    config: emptyConfig.descriptor,
    layers: sorted.map(({ descriptor }) => descriptor),
    annotations: {},
  });
}

/** @returns undefined when the document is something else */
export function decodeArtifact(document: Manifest | Index): MountLayer[] | undefined {
  if (document.kind !== 'manifest' || document.artifactType !== artifactType) return undefined;
  return document.layers.flatMap(descriptor => {
    const { [keys.id]: id, [keys.diffId]: diffId } = descriptor.annotations ?? {};
    return id === undefined || !isDigest(diffId) ? [] : [{ id, diffId, descriptor }];
  });
}
