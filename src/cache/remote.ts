// Results of other machines: records of remote caches, read when the first step is not found here. Only manifests and
// records are read to decide; layers are claimed (layer/claims.ts) and fetched when somebody needs their bytes.
import type { Artifact, Place } from '../artifact/place.ts';
import { BuildError, messageOf } from '../errors.ts';
import { configFromJson } from '../image/config.ts';
import type { Platform } from '../image/platform.ts';
import type { Layers } from '../layer/layers.ts';
import type { CacheKey, KeyPart, StateId } from './key.ts';
import type { StepRecord } from './records.ts';
import {
  noRecords,
  type RemoteRecord,
  type RemoteRecords,
  readRecords,
  recordsType,
} from './remote-format.ts';
import { inlineRecords, isImageConfig } from './remote-inline.ts';
import { type Ahead, Graph } from './remote-merge.ts';

/** A result that is now known here. */
export interface Found extends Pick<StepRecord, 'layer' | 'createdAt' | 'durationMs' | 'log' | 'pretended'> {
  /** Of the record: that which was asked for, or what it is an alias of. */
  readonly key: CacheKey;
  readonly parts?: readonly KeyPart[];
  /** Of the cache. */
  readonly from: string;
}

export interface RemoteCaches {
  /**
   * The first source that has a result; nothing when none has one. Sources that cannot be used are warned about, once.
   * @param state what the step stands on
   * @param next the steps after it, to choose among several results
   * @param takes whether a result is good enough here
   */
  find(
    key: CacheKey,
    state: StateId,
    next: readonly Ahead[],
    signal: AbortSignal,
    takes: Takes,
  ): Promise<Found | undefined>;
}

type Takes = (record: Pick<StepRecord, 'pretended'>) => Promise<boolean>;

export interface RemoteOptions {
  readonly layers: Layers;
  readonly platforms: readonly Platform[];
  warn(text: string): void;
  /** Shows that a source is read. */
  reading<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Longest time to read one source, in milliseconds; default 30 s. */
  readonly timeoutMs?: number;
}

interface Source {
  readonly place: Place;
  readonly graph: Graph;
  readonly byKey: ReadonlyMap<CacheKey, readonly RemoteRecord[]>;
  readonly aliases: ReadonlyMap<CacheKey, CacheKey>;
}

/** @param places called when the first step is not found here */
export function openRemoteCaches(
  places: () => Promise<readonly Place[]>,
  options: RemoteOptions,
): RemoteCaches {
  let sources: Promise<readonly Source[]> | undefined;
  return {
    async find(key, state, next, signal, takes) {
      sources ??= places().then(all => Promise.all(all.map(place => open(place, options, signal))));
      for (const source of await sources) {
        const found = await findIn(source, key, { state, next, takes }, options.layers);
        if (found) return found;
      }
      return undefined;
    },
  };
}

async function findIn(
  { place, graph, byKey, aliases }: Source,
  asked: CacheKey,
  { state, next, takes }: { readonly state: StateId; readonly next: readonly Ahead[]; readonly takes: Takes },
  layers: Layers,
): Promise<Found | undefined> {
  const key = byKey.has(asked) ? asked : (aliases.get(asked) ?? asked);
  for (const record of await ranked(byKey.get(key) ?? [], graph, state, next)) {
    const { layer, createdAt, durationMs, log, parts, pretended } = record;
    if (!(await takes(record))) continue;
    if (layer !== null) {
      if (!layers.claim(layer.id, layer.diffId, layer.blob)) continue;
      place.remember(layer.blob.digest);
    }
    return {
      key,
      layer: layer?.id ?? null,
      createdAt,
      durationMs,
      from: place.name,
      ...(parts ? { parts } : {}),
      ...(log === undefined ? {} : { log: { inline: log } }),
      ...(pretended ? { pretended } : {}),
    };
  }
  return undefined;
}

/** Those that lead furthest first. */
async function ranked(
  records: readonly RemoteRecord[],
  graph: Graph,
  state: StateId,
  next: readonly Ahead[],
): Promise<readonly RemoteRecord[]> {
  if (records.length < 2) return records;
  const all: { readonly record: RemoteRecord; readonly reach: number }[] = [];
  for (const record of records) all.push({ record, reach: await graph.reach(record, state, next) });
  return all.sort((a, b) => b.reach - a.reach).map(({ record }) => record);
}

async function open(place: Place, options: RemoteOptions, signal: AbortSignal): Promise<Source> {
  const records = await options.reading(place.name, async () => {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? 30_000);
    try {
      const found = await place.read(options.platforms, AbortSignal.any([signal, timeout]));
      return found.map(recordsOf);
    } catch (error) {
      signal.throwIfAborted();
      const why = timeout.aborted ? 'it does not answer' : messageOf(error);
      options.warn(`the cache ${place.name} cannot be used: ${why}`);
      return [];
    }
  });
  return index(place, {
    records: records.flatMap(each => each.records),
    aliases: records.flatMap(each => each.aliases),
  });
}

/** @throws BuildError `integrity`, `unsupported` */
export function recordsOf({ manifest, config }: Artifact): RemoteRecords {
  const { mediaType } = manifest.config;
  if (mediaType === recordsType) return readRecords(config, manifest);
  if (isImageConfig(mediaType)) {
    return inlineRecords(configFromJson(JSON.parse(config.toString('utf8'))), manifest) ?? noRecords;
  }
  throw new BuildError('unsupported', 'it is neither a cache of slipway nor an image', {
    hint: 'caches of other tools cannot be read',
  });
}

function index(place: Place, { records, aliases }: RemoteRecords): Source {
  const byKey = new Map<CacheKey, RemoteRecord[]>();
  for (const record of records) {
    const list = byKey.get(record.key) ?? [];
    list.push(record);
    byKey.set(record.key, list);
  }
  return {
    place,
    graph: new Graph(records),
    byKey,
    aliases: new Map(aliases.map(({ fast, key }) => [fast, key])),
  };
}
