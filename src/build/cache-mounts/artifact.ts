// Cache mounts as an OCI artifact: a manifest with one layer for each mount (docs/cache-mounts.md has the format). Pure.
import { type Artifact, type Draft, emptyConfig } from '../../artifact/place.ts';
import { BuildError } from '../../errors.ts';
import type { Descriptor } from '../../image/descriptor.ts';
import { type DiffId, isDigest } from '../../image/digest.ts';
import { type Compression, layerMediaType } from '../../image/media-type.ts';

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

/** Equal mounts give equal bytes. */
export function draftOf(layers: readonly MountLayer[]): Draft {
  const sorted = [...layers].sort((a, b) => (a.id < b.id ? -1 : 1));
  const { type: configType, text: config } = emptyConfig;
  return { configType, config, artifactType, layers: sorted.map(({ descriptor }) => descriptor) };
}

/** @param name of the place, for people @throws BuildError `usage` when the artifact is something else */
export function mountsIn({ manifest }: Pick<Artifact, 'manifest'>, name: string): MountLayer[] {
  if (manifest.artifactType !== artifactType) {
    throw new BuildError('usage', `what is at ${name} is no set of cache mounts`, {
      hint: 'give cache mounts a tag of their own',
    });
  }
  return manifest.layers.flatMap(descriptor => {
    const { [keys.id]: id, [keys.diffId]: diffId } = descriptor.annotations ?? {};
    return id === undefined || !isDigest(diffId) ? [] : [{ id, diffId, descriptor }];
  });
}

/**
 * Mounts that others left there stay. Of two that change one mount at the same time, neither insists: what came last
 * stays, or both would replace each other's for ever.
 * @param before what was there when this began
 * @returns undefined when nothing has to change
 */
export function mergeMounts(
  before: readonly MountLayer[],
  there: readonly MountLayer[],
  own: readonly MountLayer[],
): readonly MountLayer[] | undefined {
  const diffIdIn = (layers: readonly MountLayer[], id: string) => layers.find(each => each.id === id)?.diffId;
  const news = own.filter(({ id, diffId }) => {
    const current = diffIdIn(there, id);
    return current !== diffId && (current === undefined || current === diffIdIn(before, id));
  });
  if (news.length === 0) return undefined;
  const merged = new Map([...there, ...news].map(layer => [layer.id, layer] as const));
  return [...merged.values()];
}
