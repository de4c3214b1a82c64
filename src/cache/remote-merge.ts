// What several machines know, as one list of records: nothing that somebody needs is lost, and nothing grows for ever.
// Pure; the same records in any order give the same list.
import { type CacheKey, nextState, type StateId } from './key.ts';
import {
  draftOf,
  maxRecords,
  type RemoteAlias,
  type RemoteRecord,
  type RemoteRecords,
} from './remote-format.ts';

export interface MergeBounds {
  /** Records that no writing build needed for so long go. Default 30 days. */
  readonly unusedForMs: number;
  readonly layers: number;
  /** Results of one step: each leads to other steps. */
  readonly resultsOfKey: number;
  /** Of the list of records, encoded. */
  readonly bytes: number;
}

export const defaultBounds: MergeBounds = {
  unusedForMs: 30 * 86_400_000,
  layers: 1000,
  resultsOfKey: 16,
  bytes: 3 * 1024 * 1024,
};

const refreshMs = 86_400_000;
/** Steps of a stage. */
const maxDepth = 500;
const maxCompared = 10_000;

/** @param nowMs milliseconds since 1970 */
export function mergeRecords(
  current: RemoteRecords,
  own: RemoteRecords,
  nowMs: number,
  bounds: MergeBounds = defaultBounds,
): RemoteRecords {
  const isFresh = ({ usedAt }: { usedAt: string }) => nowMs - Date.parse(usedAt) < bounds.unusedForMs;
  const all = latest([...current.records, ...own.records].filter(isFresh), nameOf);
  const aliases = latest([...current.aliases, ...own.aliases].filter(isFresh), ({ fast, key }) => fast + key);
  const needed = new Graph(all).withoutRepeated(bounds.resultsOfKey);
  return withinBounds({ records: needed, aliases }, bounds);
}

/** Whether writing `merged` in the place of `current` would be of use to anybody. */
export function isNews(current: RemoteRecords, merged: RemoteRecords): boolean {
  const known = new Map(current.records.map(record => [nameOf(record), record]));
  const aliases = new Set(current.aliases.map(({ fast, key }) => fast + key));
  return (
    merged.records.some(record => {
      const old = known.get(nameOf(record));
      return !old || Date.parse(record.usedAt) - Date.parse(old.usedAt) > refreshMs;
    }) || merged.aliases.some(({ fast, key }) => !aliases.has(fast + key))
  );
}

function nameOf({ key, layer }: RemoteRecord): string {
  return `${key} ${layer?.id ?? ''}`;
}

/** One of those with the same name, the one that was used last; most recently used first. */
function latest<T extends RemoteRecord | RemoteAlias>(items: readonly T[], name: (item: T) => string): T[] {
  const found = new Map<string, T>();
  for (const item of items) {
    const old = found.get(name(item));
    if (!old || Date.parse(old.usedAt) < Date.parse(item.usedAt)) found.set(name(item), item);
  }
  return [...found].sort(([a, x], [b, y]) => compare(y.usedAt, x.usedAt) || compare(a, b)).map(([, x]) => x);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A step that comes after the one that is looked for. */
export interface Ahead {
  /** The instruction, as records have it. */
  readonly display: string;
  /** Its key if it stood on `state`. Absent, or undefined: that cannot be known yet, and the instruction has to do. */
  keyOn?(state: StateId): Promise<CacheKey | undefined>;
}

/** Records by what they stand on. */
export class Graph {
  readonly #records: readonly RemoteRecord[];
  readonly #byState = new Map<string, RemoteRecord[]>();

  constructor(records: readonly RemoteRecord[]) {
    this.#records = records;
    for (const record of records) {
      const list = this.#byState.get(record.state) ?? [];
      list.push(record);
      this.#byState.set(record.state, list);
    }
  }

  /**
   * How many of the steps to come have a result after this one.
   * @param state what the step stands on
   */
  async reach(record: RemoteRecord, state: StateId, next: readonly Ahead[]): Promise<number> {
    // Deep enough for any stage; a list that was made to branch must not keep anybody busy.
    let budget = 1000;
    const walk = async (at: StateId, i: number): Promise<number> => {
      const wanted = next[i];
      if (wanted === undefined || budget-- <= 0) return 0;
      const key = await wanted.keyOn?.(at);
      const isWanted = (each: RemoteRecord) =>
        key === undefined ? each.display === wanted.display : each.key === key;
      let most = 0;
      for (const each of [...this.#on(at), ...this.#on('')].filter(isWanted)) {
        most = Math.max(most, 1 + (await walk(after(at, each), i + 1)));
      }
      return most;
    };
    return walk(after(state, record), 0);
  }

  /** Of several results of one step those stay that lead to something which no other leads to. */
  withoutRepeated(resultsOfKey: number): RemoteRecord[] {
    const byKey = new Map<string, RemoteRecord[]>();
    for (const record of this.#records) {
      const list = byKey.get(record.key) ?? [];
      list.push(record);
      byKey.set(record.key, list);
    }
    const dropped = new Set<RemoteRecord>();
    for (const results of byKey.values()) {
      if (results.length === 1) continue;
      const ranked = results
        .map(record => ({ record, size: this.#size(record) }))
        .sort((a, b) => b.size - a.size || compare(nameOf(a.record), nameOf(b.record)));
      const kept: RemoteRecord[] = [];
      for (const { record } of ranked) {
        const isRepeated =
          record.state !== '' && kept.some(other => this.#covers(other, record, new Set(), 0));
        if (isRepeated || kept.length === resultsOfKey) this.#drop(record, dropped);
        else kept.push(record);
      }
    }
    return this.#records.filter(record => !dropped.has(record));
  }

  #on(state: string): readonly RemoteRecord[] {
    return this.#byState.get(state) ?? [];
  }

  #children(record: RemoteRecord): readonly RemoteRecord[] {
    return record.layer === null || record.state === ''
      ? []
      : this.#on(after(record.state as StateId, record));
  }

  /** How many records stand on it, in however many steps. */
  #size(record: RemoteRecord): number {
    const seen = new Set<RemoteRecord>();
    const waiting = [...this.#children(record)];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      waiting.push(...this.#children(next));
    }
    return seen.size;
  }

  /** Whether everything that stands on `b` has its like on `a`; false when that takes too long to find out. */
  #covers(a: RemoteRecord, b: RemoteRecord, seen: Set<string>, depth: number): boolean {
    const pair = `${nameOf(a)} ${nameOf(b)}`;
    if (seen.has(pair)) return true;
    if (depth === maxDepth || seen.size === maxCompared) return false;
    seen.add(pair);
    const own = this.#children(a);
    return this.#children(b).every(child =>
      own.some(like => like.what === child.what && this.#covers(like, child, seen, depth + 1)),
    );
  }

  #drop(record: RemoteRecord, dropped: Set<RemoteRecord>): void {
    const waiting = [record];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (dropped.has(next)) continue;
      dropped.add(next);
      waiting.push(...this.#children(next));
    }
  }
}

function after(state: StateId, { layer }: RemoteRecord): StateId {
  return nextState(state, layer?.id);
}

/** What was used least recently goes first. A step is never used later than the ones that it stands on. */
function withinBounds({ records, aliases }: RemoteRecords, bounds: MergeBounds): RemoteRecords {
  const blobs = new Set<string>();
  const kept = records.slice(0, maxRecords).filter(({ layer }) => {
    if (layer === null || blobs.has(layer.blob.digest)) return true;
    return blobs.size < bounds.layers && blobs.add(layer.blob.digest);
  });
  for (let count = kept.length; ; count = Math.floor(count * 0.9)) {
    const some = kept.slice(0, count);
    const keys = new Set(some.map(({ key }) => key));
    const merged = { records: some, aliases: aliases.filter(({ key }) => keys.has(key)).slice(0, 4 * count) };
    if (count === 0 || Buffer.byteLength(draftOf(merged).config) <= bounds.bytes) return merged;
  }
}
