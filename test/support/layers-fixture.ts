// A store with layers on it, and a registry in memory, for the contract suite of layers.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../src/errors.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { type Digest, digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import type { LayerIndex, Layers } from '../../src/layer/layers.ts';
import type { BlobSource, Store } from '../../src/store/store.ts';
import { bytePath, type ContentSource, type LayerEntry, type LayerInput } from '../../src/tree/entry.ts';

export interface LayersUnderTest {
  readonly store: Store;
  readonly layers: Layers;
  close(): Promise<void>;
}

export interface LayersImplementation {
  makeRoot(): string;
  /** Makes a store, empty unless it was there under this `root`, with layers on it. */
  open(root: string, source: BlobSource): Promise<LayersUnderTest>;
  removeRoot(root: string): void;
}

/** Never aborted. */
export const signal = new AbortController().signal;

/** A registry in memory that counts. */
export class Remote implements BlobSource {
  readonly blobs = new Map<Digest, Buffer>();
  readonly fetched: Digest[] = [];
  store: Store | undefined;

  /** @returns what an image would say about the layer */
  offer(bytes: Buffer, mediaType: string = mediaTypes.ociLayerGzip): Descriptor {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  async fetch({ digest }: Descriptor, abort: AbortSignal): Promise<void> {
    this.fetched.push(digest);
    await new Promise(resolve => setImmediate(resolve));
    abort.throwIfAborted();
    const bytes = this.blobs.get(digest);
    if (!bytes || !this.store) throw new BuildError('network', 'the registry is gone');
    await this.store.blobs.put(bytes);
  }
}

export function input(path: string, more: Partial<LayerEntry> & { text?: string } = {}): LayerInput {
  const { text = '', ...rest } = more;
  const size = Buffer.byteLength(text);
  const common = {
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSec: 1_000_000,
    mtimeNsec: 0,
    size,
  } as const;
  const entry: LayerEntry = { ...common, ...rest, path: bytePath(path) };
  return entry.type === 'file' ? { entry, content: { kind: 'bytes', bytes: Buffer.from(text) } } : { entry };
}

export const directory = (path: string, more: Partial<LayerEntry> = {}): LayerInput =>
  input(path, { type: 'directory', mode: 0o755, ...more });

function bytesOf(source: ContentSource): string {
  switch (source.kind) {
    case 'bytes':
      return Buffer.from(source.bytes).toString();
    case 'range':
      return readFileSync(source.file).toString('utf8', source.offset, source.offset + source.size);
    case 'in-tree':
      return readFileSync(join(source.root, source.path), 'utf8');
  }
}

export function text(index: LayerIndex, path: string): string {
  const entry = index.entries.find(e => e.path === path);
  assert.ok(entry, `${path} is listed`);
  return bytesOf(index.content(entry));
}

export const paths = (index: LayerIndex) => index.entries.map(e => `${e.type} ${e.path}`);

export function failsWith(code: string, pattern: RegExp = /./) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof BuildError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

/** The store of one test. */
export class LayersFixture {
  readonly #implementation: LayersImplementation;
  #current: { readonly root: string; readonly remote: Remote; readonly open: LayersUnderTest } | undefined;

  constructor(implementation: LayersImplementation) {
    this.#implementation = implementation;
  }

  get #now() {
    assert.ok(this.#current, 'the fixture is open');
    return this.#current;
  }

  get root(): string {
    return this.#now.root;
  }

  get remote(): Remote {
    return this.#now.remote;
  }

  get store(): Store {
    return this.#now.open.store;
  }

  get layers(): Layers {
    return this.#now.open.layers;
  }

  async begin(): Promise<void> {
    await this.#open(this.#implementation.makeRoot(), new Remote());
  }

  /** As the next process sees it. */
  async reopen(): Promise<void> {
    const { root, remote, open } = this.#now;
    await open.close();
    await this.#open(root, remote);
  }

  async end(): Promise<void> {
    const { root, open } = this.#now;
    await open.close();
    this.#implementation.removeRoot(root);
  }

  async #open(root: string, remote: Remote): Promise<void> {
    const open = await this.#implementation.open(root, remote);
    remote.store = open.store;
    this.#current = { root, remote, open };
  }

  blobText(digest: Digest): Buffer {
    const path = this.store.blobs.path(digest);
    assert.ok(path, `${digest} is in the store`);
    return readFileSync(path);
  }

  /** What GNU tar finds in the tar; a complaint of it fails the test. */
  gnuList(digest: Digest): string[] {
    const file = this.store.blobs.path(digest) ?? '';
    const { stdout, stderr, status } = spawnSync('tar', ['-t', '--warning=all', '-f', file], {
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.trim().split('\n');
  }

  /** All files of the store but the database: what a failure must not leave behind. */
  files(): string[] {
    return readdirSync(this.root, { recursive: true, encoding: 'utf8' })
      .filter(name => !name.startsWith('meta') && lstatSync(join(this.root, name)).isFile())
      .sort();
  }
}
