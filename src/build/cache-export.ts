// The results of a build, carried to other machines' reach: records and layers of finished steps into remote caches.

import { resolve } from 'node:path';
import type { Artifact, Draft, Place } from '../artifact/place.ts';
import type { CacheKey } from '../cache/key.ts';
import type { StepRecord } from '../cache/records.ts';
import { recordsOf } from '../cache/remote.ts';
import {
  clipDisplay,
  draftOf,
  layersOf,
  noRecords,
  type RemoteAlias,
  type RemoteLayer,
  type RemoteRecord,
  type RemoteRecords,
  recordsType,
  splitParts,
} from '../cache/remote-format.ts';
import { isNews, mergeRecords } from '../cache/remote-merge.ts';
import { BuildError, messageOf } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { LayerId } from '../layer/layers.ts';
import type { Registries } from '../registry/registry.ts';
import type { BlobSource } from '../store/store.ts';
import type { MountPlace } from './cache-mounts/place.ts';
import type { CacheSource, CacheTarget } from './cache-spec.ts';
import type { FinishedStep, FinishedSteps } from './finished-steps.ts';
import type { Tools } from './tools.ts';

export interface PlaceTools extends Pick<Tools, 'store'> {
  readonly source: BlobSource;
  registries(): Promise<Registries>;
  readonly cwd: string;
}

type WritableTarget = Exclude<CacheTarget, { kind: 'inline' }>;

/** Where a cache, or cache mounts, are read or written; nothing is contacted yet. */
export async function placeOf(
  spec: CacheSource | WritableTarget | MountPlace,
  tools: PlaceTools,
): Promise<Place> {
  const { store, source, cwd } = tools;
  if (spec.kind === 'registry') {
    const { registryPlace } = await import('../artifact/registry.ts');
    return registryPlace(spec.ref, { registries: await tools.registries(), store, source });
  }
  if (spec.kind === 's3') {
    const { s3Place } = await import('../artifact/s3.ts');
    const { location, name, credentials } = spec;
    return s3Place(location, name, { store, source, ...(credentials ? { credentials } : {}) });
  }
  const directory = resolve(cwd, 'src' in spec ? spec.src : spec.dest);
  const { layoutPlace } = await import('../artifact/layout.ts');
  return layoutPlace(directory, {
    store,
    source,
    ...(spec.tag === undefined ? {} : { tag: spec.tag }),
    ...('digest' in spec && spec.digest ? { digest: spec.digest } : {}),
    ...('reset' in spec ? { reset: spec.reset } : {}),
    ...('tidy' in spec ? { tidy: spec.tidy } : {}),
  });
}

/**
 * @param failed the build did not come to its end: that is what the user is told, and what goes wrong here is a warning
 * @throws BuildError from a target without `ignore-error`, when all targets were tried
 */
export async function exportCaches(
  targets: readonly CacheTarget[],
  finished: FinishedSteps,
  tools: Tools,
  places: PlaceTools,
  warn: (text: string) => void,
  failed = false,
): Promise<void> {
  let failure: unknown;
  for (const target of targets) {
    if (target.kind === 'inline') continue;
    const steps = finished.list(target.mode);
    if (steps.length === 0) continue;
    try {
      await exportTo(target, steps, tools, places);
    } catch (error) {
      tools.signal.throwIfAborted();
      if (failed || target.ignoreError) warn(`the cache was not written: ${messageOf(error)}`);
      else failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

async function exportTo(
  target: WritableTarget,
  steps: readonly FinishedStep[],
  tools: Tools,
  places: PlaceTools,
): Promise<void> {
  const place = await placeOf(target, places);
  const id = `cache:${place.name}`;
  tools.emit({ kind: 'start', id, name: `exporting the cache to ${place.name}`, atMs: tools.now() });
  try {
    const { compression, level, force } = target;
    const packing = { compression, force, format: 'oci' as const, lazy: true };
    const pack = (layer: LayerId) =>
      tools.layers.blob(layer, { ...packing, ...(level === undefined ? {} : { level }) }, tools.signal);
    const own = await recordsOfSteps(steps, tools, pack);
    const count = own.records.length;
    if (count > 0) await write(place, own, tools);
    const text = `${count} results, ${layersOf(own).length} layers`;
    tools.emit({ kind: 'note', id, text, atMs: tools.now() });
    tools.emit({ kind: 'end', id, outcome: 'done', atMs: tools.now() });
  } catch (error) {
    tools.emit({ kind: 'end', id, outcome: 'failed', error: messageOf(error), atMs: tools.now() });
    throw error;
  }
}

async function write(place: Place, own: RemoteRecords, tools: Tools): Promise<void> {
  const blobs = layersOf(own).map(({ blob }) => blob);
  const draft = (current: Artifact | undefined): Draft | undefined => {
    const known = current ? readable(current, place) : noRecords;
    const merged = mergeRecords(known, own, tools.now());
    return isNews(known, merged) ? draftOf(merged) : undefined;
  };
  await place.update(blobs, draft, tools.signal);
}

/** Damage is replaced; something that is no cache, or that a newer version wrote, is not. */
function readable(current: Artifact, place: Place): RemoteRecords {
  if (current.manifest.config.mediaType !== recordsType) {
    throw new BuildError('usage', `${place.name} is something else than a cache of slipway`, {
      hint: 'choose another tag for --cache-to',
    });
  }
  try {
    return recordsOf(current);
  } catch (error) {
    if (error instanceof BuildError && error.code === 'unsupported') throw error;
    return noRecords;
  }
}

/** What finished, as records that can travel. A result that is gone again, or that nothing says the parts of, stays here. */
export async function recordsOfSteps(
  steps: readonly FinishedStep[],
  { records, layers, now, signal }: Tools,
  pack: (layer: LayerId) => Promise<Descriptor>,
): Promise<RemoteRecords> {
  const usedAt = new Date(now()).toISOString();
  const aliases = new Map<CacheKey, RemoteAlias>();
  const found = new Map<CacheKey, Promise<RemoteRecord | undefined>>();
  const layerOf = async (id: LayerId): Promise<RemoteLayer> => ({
    id,
    diffId: await layers.diffId(id, signal),
    blob: await pack(id),
  });
  for (const { recipe, key: taken } of steps) {
    const key = records.target(taken);
    const record = records.get(key);
    if (!record || (record.layer !== null && !layers.has(record.layer))) continue;
    if (recipe !== undefined && recipe !== key) aliases.set(recipe, { fast: recipe, key, usedAt });
    if (!found.has(key)) found.set(key, remoteRecord(key, record, usedAt, layerOf));
  }
  const all = await Promise.all(found.values());
  return { records: all.filter(record => record !== undefined), aliases: [...aliases.values()] };
}

async function remoteRecord(
  key: CacheKey,
  record: StepRecord,
  usedAt: string,
  layerOf: (id: LayerId) => Promise<RemoteLayer>,
): Promise<RemoteRecord | undefined> {
  const { layer, createdAt, durationMs, display, parts, log, pretended } = record;
  const split = splitParts(parts);
  if (!split) return undefined;
  return {
    key,
    ...split,
    layer: layer === null ? null : await layerOf(layer),
    createdAt,
    usedAt,
    durationMs,
    display: clipDisplay(display),
    ...(parts.some(({ name, value }) => name === 'kind' && value === 'copy') ? { parts } : {}),
    ...(log && 'inline' in log ? { log: log.inline } : {}),
    ...(pretended ? { pretended } : {}),
  };
}
