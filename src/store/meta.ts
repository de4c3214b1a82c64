// Small facts in LMDB (http://www.lmdb.tech/doc/). One database holds all spaces: a key is `<space>/<key>`, a value is
// eight hex digits of CRC-32 and the JSON text, so that a damaged page reads as absence and not as another fact.
import { crc32 } from 'node:zlib';
import type { RootDatabase } from 'lmdb';
import { printable } from '../errors.ts';
import type { Lock } from '../host/lock.ts';
import { storeFailure } from './failure.ts';
import { loadLmdb } from './lmdb.ts';
import { beginWriting, openInTurn } from './meta-turns.ts';
import type { Meta, MetaSpace } from './store.ts';

interface Pending {
  /** undefined: deleted. */
  readonly text: string | undefined;
}

/** Meta and the exclusive transactions that the store itself needs. */
export class LmdbMeta implements Meta {
  readonly #path: string;
  readonly #db: RootDatabase<string, string>;
  /** Written but not yet committed: lmdb shows its asynchronous writes only when their transaction ends. */
  readonly #pending = new Map<string, Pending>();
  readonly #warn: (text: string) => void;
  #hasWarned = false;
  #failure: unknown;
  /** Held while something is being written, until it is on the disk. */
  #turn: Lock | undefined;

  constructor(path: string, db: RootDatabase<string, string>, warn: (text: string) => void) {
    this.#path = path;
    this.#db = db;
    this.#warn = warn;
  }

  get(space: MetaSpace, key: string): unknown {
    const full = fullKey(space, key);
    const pending = this.#pending.get(full);
    return this.#decode(full, pending ? pending.text : this.#db.get(full));
  }

  set(space: MetaSpace, key: string, value: unknown): void {
    this.#write(fullKey(space, key), encode(value));
  }

  delete(space: MetaSpace, key: string): void {
    this.#write(fullKey(space, key), undefined);
  }

  *entries(space: MetaSpace, prefix = ''): Iterable<readonly [string, unknown]> {
    const start = fullKey(space, prefix);
    const found = new Map<string, string | undefined>();
    for (const { key, value } of this.#db.getRange({ start, end: `${start}\uffff` })) found.set(key, value);
    for (const [key, { text }] of this.#pending) if (key.startsWith(start)) found.set(key, text);
    for (const key of [...found.keys()].sort(byteOrder)) {
      const value = this.#decode(key, found.get(key));
      if (value !== undefined) yield [key.slice(space.length + 1), value];
    }
  }

  damaged(space?: MetaSpace): readonly string[] {
    const found: string[] = [];
    const range = space === undefined ? {} : { start: `${space}/`, end: `${space}/\uffff` };
    for (const { key, value } of this.#db.getRange(range)) {
      if (!this.#pending.has(key) && decode(value) === undefined) found.push(key);
    }
    return found;
  }

  forget(fullKey: string): void {
    this.#write(fullKey, undefined);
  }

  async flush(): Promise<void> {
    while (this.#pending.size > 0 && this.#failure === undefined) await this.#db.committed;
    await this.#db.flushed;
    if (this.#failure !== undefined) throw storeFailure(this.#failure, 'writing its database', this.#path);
  }

  async share(): Promise<void> {
    while (this.#pending.size > 0 && this.#failure === undefined) await this.#db.committed;
    if (this.#failure !== undefined) throw storeFailure(this.#failure, 'writing its database', this.#path);
    this.#db.resetReadTxn(); // and this process sees what others have written
  }

  /**
   * Runs `work` while no other process or thread writes to the database; what it throws undoes what it wrote.
   * The caller flushes before when pending writes matter to it.
   */
  exclusively<T>(work: (tx: Transaction) => T): T {
    this.#turn ??= beginWriting(this.#path);
    try {
      return this.#db.transactionSync(() =>
        work({
          get: (space, key) => this.#decode(fullKey(space, key), this.#db.get(fullKey(space, key))),
          set: (space, key, value) => this.#db.putSync(fullKey(space, key), encode(value)),
          delete: (space, key) => this.#db.removeSync(fullKey(space, key)),
          entries: space => this.#committed(space),
        }),
      );
    } catch (error) {
      throw storeFailure(error, 'writing its database', this.#path);
    } finally {
      this.#endTurn();
    }
  }

  *#committed(space: MetaSpace): Iterable<readonly [string, unknown]> {
    const start = `${space}/`;
    for (const { key, value } of this.#db.getRange({ start, end: `${start}\uffff` })) {
      const decoded = this.#decode(key, value);
      if (decoded !== undefined) yield [key.slice(start.length), decoded];
    }
  }

  /** A damaged value is absent; one warning says so, however many there are. */
  #decode(key: string, text: string | undefined): unknown {
    if (text !== undefined && !this.#hasWarned && !isWhole(text)) {
      this.#hasWarned = true;
      this.#warn(
        `the store's database is damaged at ${printable(key)}, which is made again when it is needed ` +
          '(slipway system verify shows all damage)',
      );
    }
    return decode(text);
  }

  /** Reads everything. @throws an error of LMDB when a page is damaged */
  readThrough(): void {
    for (const { key, value } of this.#db.getRange({})) if (key === value) break;
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#db.close();
      this.#turn?.release();
    }
  }

  #write(key: string, text: string | undefined): void {
    this.#turn ??= beginWriting(this.#path);
    const pending: Pending = { text };
    this.#pending.set(key, pending);
    const written = text === undefined ? this.#db.remove(key) : this.#db.put(key, text);
    written.then(
      () => {
        if (this.#pending.get(key) === pending) this.#pending.delete(key);
        this.#endTurn();
      },
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
  }

  #endTurn(): void {
    if (this.#pending.size > 0) return;
    this.#db.flushed.then(() => {
      if (this.#pending.size > 0) return;
      this.#turn?.release();
      this.#turn = undefined;
    });
  }
}

/** Reads and writes inside {@link LmdbMeta.exclusively}; all synchronous. */
export interface Transaction {
  get(space: MetaSpace, key: string): unknown;
  set(space: MetaSpace, key: string, value: unknown): void;
  delete(space: MetaSpace, key: string): void;
  entries(space: MetaSpace): Iterable<readonly [string, unknown]>;
}

/** Loads LMDB and opens the database in the directory `path`. @param warn told once when a damaged value is met */
export async function openMeta(path: string, warn: (text: string) => void): Promise<LmdbMeta> {
  const { open } = loadLmdb();
  const db = await openInTurn(path, () => open<string, string>({ path, encoding: 'string', cache: false }));
  return new LmdbMeta(path, db, warn);
}

function fullKey(space: MetaSpace, key: string): string {
  return `${space}/${key}`;
}

function encode(value: unknown): string {
  const json = JSON.stringify(value);
  return sum(json) + json;
}

function decode(text: string | undefined): unknown {
  if (text === undefined || !isWhole(text)) return undefined;
  try {
    return JSON.parse(text.slice(8));
  } catch {
    return undefined; // whole, but not written by this version
  }
}

function isWhole(text: string): boolean {
  return text.slice(0, 8) === sum(text.slice(8));
}

function sum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function byteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
