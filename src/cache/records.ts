// Results of earlier steps by cache key, in the store's database. What does not read as a record is a miss.
import { isDigest } from '../image/digest.ts';
import type { LayerId } from '../layer/layers.ts';
import type { Meta } from '../store/store.ts';
import type { CacheKey, KeyPart } from './key.ts';

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
}

export interface Records {
  /** The record of a key or of what the key is an alias of. */
  get(key: CacheKey): StepRecord | undefined;
  /** Visible at once, durable after the store's flush. */
  put(key: CacheKey, record: StepRecord): void;
  /** Makes `fast` (known before the content was hashed) lead to the record of `key`. */
  alias(fast: CacheKey, key: CacheKey): void;
  delete(key: CacheKey): void;
  /** All records, without aliases. */
  entries(): Iterable<readonly [CacheKey, StepRecord]>;
}

export function openRecords(meta: Meta): Records {
  const read = (key: CacheKey) => parseRecord(meta.get('records', key));
  return {
    get(key) {
      const target = aliasTarget(meta.get('records', key));
      return read(target ?? key);
    },
    put: (key, record) => meta.set('records', key, record),
    alias: (fast, key) => meta.set('records', fast, { alias: key }),
    delete: key => meta.delete('records', key),
    *entries() {
      for (const [key, value] of meta.entries('records')) {
        const record = parseRecord(value);
        if (record && isDigest(key)) yield [key as CacheKey, record];
      }
    },
  };
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
  return { layer, createdAt, durationMs, display, parts };
}

function isLayerId(value: unknown): value is LayerId {
  return isDigest(value) || (typeof value === 'string' && /^tree:[a-z0-9-]+$/.test(value));
}

function isPart(value: unknown): value is KeyPart {
  const part = value as { name?: unknown; value?: unknown } | null;
  return typeof part?.name === 'string' && typeof part.value === 'string';
}
