// Results of earlier steps by cache key, in the store's database. What does not read as a record is a miss.
import { isDigest } from '../image/digest.ts';
import type { LayerId } from '../layer/layers.ts';
import type { Meta } from '../store/store.ts';
import type { CacheKey, KeyPart } from './key.ts';
import { isStoredBytes, type StoredBytes } from './stored-bytes.ts';

/** What a step came to. */
export interface StepRecord {
  /** null: the step changed nothing. Whether the layer is still in the store is the caller's to see. */
  readonly layer: LayerId | null;
  /** When the step ended; RFC 3339. */
  readonly createdAt: string;
  /** How long it took. */
  readonly durationMs: number;
  /** The instruction for people. */
  readonly display: string;
  /** What the key was made of, to say later why another key did not hit. */
  readonly parts: readonly KeyPart[];
  /** When a build took the result; RFC 3339, kept to the day. Absent: never since it was made. */
  readonly usedAt?: string;
  /** What the step wrote, both streams as they came, secrets masked. Absent: nothing. */
  readonly log?: StoredBytes;
  /** The files that it read (cache/input-files.ts). */
  readonly files?: StoredBytes;
  /** What its stage stands on. */
  readonly base?: BaseRecord;
  /** Which of the `env` parts are build arguments. */
  readonly args?: readonly string[];
  /** proot made it: what the step gave to other users is not theirs in the layer. */
  readonly pretended?: true;
}

export interface BaseRecord {
  /** As FROM names it. */
  readonly reference: string;
  /** The state that its layers make. */
  readonly state: string;
}

export interface Records {
  /** The record of a key or of what the key is an alias of. */
  get(key: CacheKey): StepRecord | undefined;
  /** The key itself, or what it is an alias of. */
  target(key: CacheKey): CacheKey;
  /** Visible at once, durable after the store's flush. */
  put(key: CacheKey, record: StepRecord): void;
  /** Makes `fast` (known before the content was hashed) lead to the record of `key`. */
  alias(fast: CacheKey, key: CacheKey): void;
  delete(key: CacheKey): void;
  /** All records, without aliases. */
  entries(): Iterable<readonly [CacheKey, StepRecord]>;
  /** Remembers that the result was used at `nowMs`; writes once a day at most. */
  touch(key: CacheKey, nowMs: number): void;
}

const touchEveryMs = 86_400_000;

export function openRecords(meta: Meta): Records {
  const read = (key: CacheKey) => parseRecord(meta.get('records', key));
  const resolve = (key: CacheKey) => aliasTarget(meta.get('records', key)) ?? key;
  return {
    get: key => read(resolve(key)),
    target: resolve,
    put: (key, record) => meta.set('records', key, record),
    alias: (fast, key) => meta.set('records', fast, { alias: key }),
    delete: key => meta.delete('records', key),
    *entries() {
      for (const [key, value] of meta.entries('records')) {
        const record = parseRecord(value);
        if (record && isDigest(key)) yield [key as CacheKey, record];
      }
    },
    touch(key, nowMs) {
      const target = resolve(key);
      const record = read(target);
      if (!record || nowMs - lastUsedMs(record) < touchEveryMs) return;
      meta.set('records', target, { ...record, usedAt: new Date(nowMs).toISOString() });
    },
  };
}

/** Milliseconds since 1970, to the day. */
export function lastUsedMs(record: Pick<StepRecord, 'createdAt' | 'usedAt'>): number {
  return Math.max(Date.parse(record.createdAt), record.usedAt ? Date.parse(record.usedAt) || 0 : 0);
}

function aliasTarget(value: unknown): CacheKey | undefined {
  const target = (value as { alias?: unknown } | null | undefined)?.alias;
  return isDigest(target) ? (target as CacheKey) : undefined;
}

/** undefined unless `value` has the shape of a record and names a layer that could exist. */
export function parseRecord(value: unknown): StepRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { layer, createdAt, durationMs, display, parts } = value as Record<string, unknown>;
  if (layer !== null && !isLayerId(layer)) return undefined;
  if (typeof createdAt !== 'string' || Number.isNaN(Date.parse(createdAt))) return undefined;
  if (typeof durationMs !== 'number' || typeof display !== 'string' || !Array.isArray(parts))
    return undefined;
  if (!parts.every(isPart)) return undefined;
  const { pretended } = value as Record<string, unknown>;
  return {
    ...{ layer, createdAt, durationMs, display, parts, ...extras(value as Record<string, unknown>) },
    ...(pretended === undefined ? {} : { pretended: true }),
  };
}

/** What is only there to be told: of the wrong shape it is left out. */
function extras({ usedAt, log, files, base, args }: Record<string, unknown>): Partial<StepRecord> {
  const { reference, state } = (base ?? {}) as Record<string, unknown>;
  return {
    ...(typeof usedAt === 'string' ? { usedAt } : {}),
    ...(isStoredBytes(log) ? { log } : {}),
    ...(isStoredBytes(files) ? { files } : {}),
    ...(typeof reference === 'string' && typeof state === 'string' ? { base: { reference, state } } : {}),
    ...(Array.isArray(args) && args.every(name => typeof name === 'string') ? { args } : {}),
  };
}

function isLayerId(value: unknown): value is LayerId {
  return isDigest(value) || (typeof value === 'string' && /^tree:[a-z0-9-]+$/.test(value));
}

function isPart(value: unknown): value is KeyPart {
  const part = value as { name?: unknown; value?: unknown } | null;
  return typeof part?.name === 'string' && typeof part.value === 'string';
}
