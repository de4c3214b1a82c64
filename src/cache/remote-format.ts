// What a remote cache is made of (docs/cache-format.md): an artifact whose layers are the cached layers and whose config
// is the list of records. Pure. Everything is checked when it is read: it may come from anybody.
import type { Draft } from '../artifact/place.ts';
import { BuildError, printable } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type DiffId, type Digest, digestOf, isDigest } from '../image/digest.ts';
import type { Manifest } from '../image/manifest.ts';
import { compressionOf } from '../image/media-type.ts';
import type { LayerId } from '../layer/layers.ts';
import { type CacheKey, cacheKey, frame, type KeyPart, keyVersion } from './key.ts';
import { maxInlineBytes } from './stored-bytes.ts';

/** A layer and the blob that packs it. */
export interface RemoteLayer {
  readonly id: LayerId;
  readonly diffId: DiffId;
  readonly blob: Descriptor;
}

export interface RemoteRecord {
  readonly key: CacheKey;
  /** What the step stood on; '' for one that does not look at what is below (COPY --link). */
  readonly state: string;
  /** Digest of what the key is made of besides the state. */
  readonly what: Digest;
  /** null: the step changed nothing. */
  readonly layer: RemoteLayer | null;
  /** RFC 3339. */
  readonly createdAt: string;
  /** When a build that wrote the cache needed it; RFC 3339. */
  readonly usedAt: string;
  readonly durationMs: number;
  /** The instruction, to see where a result leads; nothing that is shown. */
  readonly display: string;
  /** Of a step that an alias may lead to. */
  readonly parts?: readonly KeyPart[];
  /** As `inline` of StoredBytes. */
  readonly log?: string;
  /** As in StepRecord. */
  readonly pretended?: true;
}

/** Makes `fast` lead to the records of `key`. */
export interface RemoteAlias {
  readonly fast: CacheKey;
  readonly key: CacheKey;
  readonly usedAt: string;
}

export interface RemoteRecords {
  readonly records: readonly RemoteRecord[];
  readonly aliases: readonly RemoteAlias[];
}

/** Type of the config, and of the artifact. */
export const recordsType = 'application/vnd.slipway.cache.records.v1+json';
export const formatVersion = 1;
export const maxRecords = 5000;
const maxDisplay = 1000;

export const noRecords: RemoteRecords = { records: [], aliases: [] };

/** What a key is made of, split: the state, and a digest of the rest. Undefined for a record without parts. */
export function splitParts(parts: readonly KeyPart[]): { state: string; what: Digest } | undefined {
  const state = parts.find(({ name }) => name === 'state')?.value;
  if (state === undefined) return undefined;
  const rest = parts.filter(({ name }) => name !== 'state').flatMap(({ name, value }) => [name, value]);
  return { state, what: digestOf(frame(rest)) };
}

export function clipDisplay(text: string): string {
  return text.slice(0, maxDisplay);
}

/** The JSON value of the records; layers are numbers in `layers`. */
export function recordsToJson({ records, aliases }: RemoteRecords, layers: readonly RemoteLayer[]): unknown {
  const position = new Map(layers.map((layer, i) => [layer.blob.digest, i]));
  return {
    version: formatVersion,
    keyVersion,
    layers: layers.map(({ diffId }) => ({ diffId })),
    records: records.map(({ layer, parts, ...record }) => ({
      ...record,
      layer: layer === null ? null : position.get(layer.blob.digest),
      ...(layer !== null && layer.id !== layer.diffId ? { id: layer.id } : {}),
      ...(parts ? { parts: parts.map(({ name, value }) => [name, value]) } : {}),
    })),
    aliases: aliases.map(({ fast, key, usedAt }) => [fast, key, usedAt]),
  };
}

/** The layers of records, each blob once. */
export function layersOf({ records }: RemoteRecords): RemoteLayer[] {
  const all = records.flatMap(({ layer }) => (layer === null ? [] : [layer]));
  return [...new Map(all.map(layer => [layer.blob.digest, layer])).values()];
}

export function draftOf(records: RemoteRecords): Draft {
  const layers = layersOf(records);
  return {
    configType: recordsType,
    config: JSON.stringify(recordsToJson(records, layers)),
    layers: layers.map(({ blob }) => blob),
  };
}

/** @throws BuildError `integrity`, or `unsupported` for what a newer version wrote */
export function readRecords(config: Buffer, manifest: Pick<Manifest, 'layers'>): RemoteRecords {
  let json: unknown;
  try {
    json = JSON.parse(config.toString('utf8'));
  } catch (cause) {
    throw new BuildError('integrity', 'its records are not valid JSON', { cause });
  }
  return recordsFromJson(json, manifest.layers);
}

/**
 * Records under another version of the keys cannot be found, so they are left out.
 * @param blobs those that the numbers of layers mean
 * @throws BuildError `integrity`, `unsupported`
 */
export function recordsFromJson(json: unknown, blobs: readonly Descriptor[]): RemoteRecords {
  const { version, keyVersion: keys, layers, records, aliases } = fieldsOf(json, 'the list of records');
  if (version !== formatVersion) {
    throw new BuildError('unsupported', `its format has version ${printable(String(version))}, not 1`);
  }
  if (keys !== keyVersion) return noRecords;
  if (!Array.isArray(layers) || layers.length !== blobs.length) throw broken('it lists other layers');
  if (!Array.isArray(records) || !Array.isArray(aliases)) throw broken('it has no list of records');
  if (records.length > maxRecords || aliases.length > maxRecords) {
    throw new BuildError('hostile', `it has more than ${maxRecords} records`);
  }
  const diffIds = layers.map(layer => {
    const { diffId } = fieldsOf(layer, 'a layer');
    if (!isDigest(diffId)) throw broken('a layer has no diffId');
    return diffId;
  });
  return {
    records: records.map(record => recordFromJson(record, diffIds, blobs)),
    aliases: aliases.map(aliasFromJson),
  };
}

function recordFromJson(
  json: unknown,
  diffIds: readonly DiffId[],
  blobs: readonly Descriptor[],
): RemoteRecord {
  const fields = fieldsOf(json, 'a record');
  const { key, state, what, createdAt, usedAt, durationMs, display, parts, log, pretended } = fields;
  if (!isDigest(key) || !isDigest(what)) throw broken('a record has no key');
  if (state !== '' && !isDigest(state)) throw broken('a record has no state');
  if (typeof durationMs !== 'number' || !(durationMs >= 0)) throw broken('a record has no duration');
  if (
    log !== undefined &&
    (typeof log !== 'string' || log.length > maxInlineBytes || !/^[\0-\xff]*$/.test(log))
  )
    throw broken('a record has no proper log');
  const made = partsFromJson(parts);
  if (made && cacheKey(made) !== key) throw broken('a record is not what its key says');
  return {
    key: key as CacheKey,
    state,
    what,
    layer: layerFromJson(fields, diffIds, blobs),
    createdAt: time(createdAt),
    usedAt: time(usedAt),
    durationMs,
    display: clipDisplay(text(display)),
    ...(made ? { parts: made } : {}),
    ...(log === undefined ? {} : { log }),
    ...(pretended === undefined ? {} : { pretended: true }),
  };
}

function layerFromJson(
  { layer, id }: Record<string, unknown>,
  diffIds: readonly DiffId[],
  blobs: readonly Descriptor[],
): RemoteLayer | null {
  if (layer === null) return null;
  const diffId = typeof layer === 'number' ? diffIds[layer] : undefined;
  const blob = typeof layer === 'number' ? blobs[layer] : undefined;
  if (!diffId || !blob) throw broken('a record has a layer that is not listed');
  if (compressionOf(blob.mediaType) === undefined) {
    throw broken(`a layer has the type ${printable(blob.mediaType)}`);
  }
  if (id !== undefined && !(typeof id === 'string' && /^tree:[a-z0-9-]{1,64}$/.test(id))) {
    throw broken('a record has a layer with a wrong name');
  }
  const { mediaType, digest, size } = blob;
  return { id: id ?? diffId, diffId, blob: { mediaType, digest, size } };
}

function aliasFromJson(json: unknown): RemoteAlias {
  const [fast, key, usedAt] = Array.isArray(json) ? json : [];
  if (!isDigest(fast) || !isDigest(key)) throw broken('an alias is none');
  return { fast: fast as CacheKey, key: key as CacheKey, usedAt: time(usedAt) };
}

function partsFromJson(json: unknown): KeyPart[] | undefined {
  if (json === undefined) return undefined;
  if (!Array.isArray(json)) throw broken('the parts of a record are no list');
  return json.map(part => {
    const [name, value] = Array.isArray(part) ? part : [];
    return { name: text(name), value: text(value) };
  });
}

function fieldsOf(json: unknown, what: string): Record<string, unknown> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw broken(`${what} is no object`);
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw broken('there is no text where one should be');
}

function time(value: unknown): string {
  if (typeof value === 'string' && value.length < 40 && !Number.isNaN(Date.parse(value))) return value;
  throw broken('there is no time where one should be');
}

function broken(why: string): BuildError {
  return new BuildError('integrity', `its records cannot be used: ${why}`);
}
