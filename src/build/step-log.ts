// What a step writes, kept whole: in memory while it is little, then in a file that becomes a blob of the store.
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type StoredBytes, storeBytes } from '../cache/stored-bytes.ts';
import { temporaryName } from '../host/temp.ts';
import { digestFromHash } from '../image/digest.ts';
import type { Store } from '../store/store.ts';

const maxMemoryBytes = 64 * 1024;

interface Spill {
  readonly path: string;
  readonly fd: number;
  readonly hash: Hash;
}

export class StepLog {
  readonly #store: Store;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #spill: Spill | undefined;
  #failure: unknown;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Never throws: what goes wrong is told by {@link keep}. */
  add(data: Uint8Array): void {
    if (this.#failure !== undefined || data.length === 0) return;
    this.#held.push(Buffer.from(data));
    this.#heldBytes += data.length;
    if (this.#heldBytes <= maxMemoryBytes) return;
    try {
      this.#write();
    } catch (error) {
      this.#failure = error;
    }
  }

  /** Call once, when the step is over. @returns undefined when nothing was written. @throws when the disk is full */
  async keep(): Promise<StoredBytes | undefined> {
    try {
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#spill)
        return this.#heldBytes === 0 ? undefined : await storeBytes(this.#store, this.#take());
      this.#write();
      const digest = digestFromHash(this.#spill.hash.digest('hex'));
      await using ingest = await this.#store.blobs.ingest();
      renameSync(this.#spill.path, ingest.path);
      await ingest.commit(digest);
      return { blob: digest };
    } finally {
      if (this.#spill) {
        closeSync(this.#spill.fd);
        rmSync(this.#spill.path, { force: true });
      }
    }
  }

  #take(): Buffer {
    const all = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return all;
  }

  #write(): void {
    this.#spill ??= this.#open();
    const all = this.#take();
    this.#spill.hash.update(all);
    for (let done = 0; done < all.length; ) done += writeSync(this.#spill.fd, all, done);
  }

  #open(): Spill {
    const path = join(this.#store.tmp, temporaryName('log-'));
    return { path, fd: openSync(path, 'wx', 0o600), hash: createHash('sha256') };
  }
}
