// Records that travel in the config of the image whose steps they are of; its layers are the cached layers. Pure.
import type { ImageConfig } from '../image/config.ts';
import type { DiffId } from '../image/digest.ts';
import type { Manifest } from '../image/manifest.ts';
import { mediaTypes } from '../image/media-type.ts';
import {
  type RemoteLayer,
  type RemoteRecord,
  type RemoteRecords,
  recordsFromJson,
  recordsToJson,
} from './remote-format.ts';

/** Top-level field of the image config. */
export const inlineField = 'slipway.cache.v1';

export function isImageConfig(mediaType: string): boolean {
  return mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig;
}

/** @returns undefined for an image without records @throws BuildError `integrity`, `unsupported` */
export function inlineRecords(
  { rest, diffIds }: ImageConfig,
  { layers }: Pick<Manifest, 'layers'>,
): RemoteRecords | undefined {
  const value = rest[inlineField];
  if (value === undefined) return undefined;
  const json = value as { layers?: unknown };
  return recordsFromJson({ ...json, layers: diffIds.map(diffId => ({ diffId })) }, layers);
}

/**
 * What the config says. The numbers of layers are those of `diffIds`: records of layers that are not in the image are left
 * out, and so is what would differ from one build to the next.
 */
export function inlineValue(records: readonly RemoteRecord[], diffIds: readonly DiffId[]): unknown {
  const placed = (diffId: DiffId): RemoteLayer => ({
    id: diffId,
    diffId,
    blob: { mediaType: '', digest: diffId, size: 0 },
  });
  const kept = records.flatMap(({ log: _, parts: _parts, layer, ...record }): RemoteRecord[] => {
    const common = { ...record, usedAt: record.createdAt };
    if (layer === null) return [{ ...common, layer }];
    return diffIds.includes(layer.diffId)
      ? [{ ...common, layer: { ...placed(layer.diffId), id: layer.id } }]
      : [];
  });
  const json = recordsToJson({ records: kept, aliases: [] }, diffIds.map(placed)) as object;
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== 'layers'));
}
