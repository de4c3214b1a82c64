// Blobs of the OCI image layout (image-layout.md): blobs/<algorithm>/<hex>, each complete from the moment it has its name.

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { chmod, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BuildError, errnoOf } from '../errors.ts';
import { fsyncDir, makePrivateDir, removeTree } from '../host/temp.ts';
import { algorithmOf, type Digest, digestFromHash, digestOf, hexOf } from '../image/digest.ts';
import { storeFailure, storing } from './failure.ts';
import type { Session } from './session.ts';
import type { BlobStore, Ingest } from './store.ts';
import { markUsed } from './usage.ts';

/** Largest blob that {@link BlobStore.read} takes into memory unless told otherwise. */
const defaultReadLimitBytes = 64 * 1024 * 1024;

export class FileBlobStore implements BlobStore {
  readonly #root: string;
  readonly #session: Session;

  constructor(root: string, session: Session) {
    this.#root = root;
    this.#session = session;
  }

  path(digest: Digest): string | undefined {
    const path = this.#place(digest);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) return undefined;
    markUsed(path, stat);
    return path;
  }

  size(digest: Digest): number | undefined {
    const stat = statSync(this.#place(digest), { throwIfNoEntry: false });
    return stat?.isFile() ? stat.size : undefined;
  }

  async ingest(): Promise<Ingest> {
    const path = this.#session.freshPath();
    await storing('beginning a blob', path, async () => (await open(path, 'wx', 0o600)).close());
    return new FileIngest(path, digest => this.#place(digest));
  }

  async put(bytes: Uint8Array | string): Promise<Digest> {
    const digest = digestOf(bytes);
    const there = this.size(digest) === Buffer.byteLength(bytes) ? this.path(digest) : undefined;
    if (there !== undefined && digestOf(await readFile(there)) === digest) return digest;
    await using ingest = await this.ingest();
    await storing('writing a blob', ingest.path, async () => {
      const file = await open(ingest.path, 'r+');
      try {
        await file.writeFile(bytes);
      } finally {
        await file.close();
      }
      if (there !== undefined) await rm(there, { force: true }); // same length, other bytes: damaged
    });
    await ingest.commit(digest);
    return digest;
  }

  async read(digest: Digest, maxBytes = defaultReadLimitBytes): Promise<Buffer> {
    const path = this.path(digest);
    const size = this.size(digest);
    if (path === undefined || size === undefined) {
      throw new BuildError('not-found', `the blob ${digest} is not in the store`, { facts: { digest } });
    }
    if (size > maxBytes) {
      throw new BuildError(
        'integrity',
        `the blob ${digest} has ${size} bytes, more than the ${maxBytes} that fit here`,
      );
    }
    const bytes = await storing('reading a blob', path, () => readFile(path));
    const algorithm = algorithmOf(digest);
    const found = digestFromHash(createHash(algorithm).update(bytes).digest('hex'), algorithm);
    if (found !== digest) {
      throw new BuildError('store', `the blob ${digest} in the store is damaged`, {
        hint: `remove ${path} and run the command again`,
        facts: { damaged: digest, path, expected: digest, found },
      });
    }
    return bytes;
  }

  async remove(digest: Digest): Promise<void> {
    const path = this.#place(digest);
    await storing('removing a blob', path, () => removeTree(path));
  }

  #place(digest: Digest): string {
    return join(this.#root, 'blobs', algorithmOf(digest), hexOf(digest));
  }
}

class FileIngest implements Ingest {
  readonly path: string;
  readonly #place: (digest: Digest) => string;

  constructor(path: string, place: (digest: Digest) => string) {
    this.path = path;
    this.#place = place;
  }

  async commit(digest: Digest): Promise<void> {
    const target = this.#place(digest);
    try {
      const file = await open(this.path, 'r');
      let size: number;
      try {
        await file.sync();
        size = (await file.stat()).size;
      } finally {
        await file.close();
      }
      const there = statSync(target, { throwIfNoEntry: false });
      // One of another size is damaged; the new one takes its place.
      if (there?.isFile() && there.size === size) {
        markUsed(target, there);
        await rm(this.path, { force: true });
        return;
      }
      await chmod(this.path, 0o600);
      await this.#rename(target);
      await fsyncDir(dirname(target));
    } catch (error) {
      throw storeFailure(error, 'keeping a blob', target);
    }
  }

  async #rename(target: string): Promise<void> {
    try {
      await rename(this.path, target);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') makePrivateDir(dirname(target));
      else if (errnoOf(error) === 'EISDIR' || errnoOf(error) === 'ENOTDIR') await removeTree(target);
      else throw error;
      await rename(this.path, target);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { force: true });
  }
}
