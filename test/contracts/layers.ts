// What every implementation of Layers must do. Runs as root: trees hold devices and trusted attributes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { BuildError } from '../../src/errors.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { type Digest, digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import type { LayerIndex, Layers } from '../../src/layer/layers.ts';
import { makeView } from '../../src/layer/view.ts';
import type { BlobSource, Store } from '../../src/store/store.ts';
import {
  type BytePath,
  bytePath,
  type ContentSource,
  type LayerEntry,
  type LayerInput,
} from '../../src/tree/entry.ts';
import { type TarSpec, tarBytes } from '../support/tar-bytes.ts';

export interface LayersUnderTest {
  readonly store: Store;
  readonly layers: Layers;
  close(): Promise<void>;
}

const signal = new AbortController().signal;

/** A registry in memory that counts. */
class Remote implements BlobSource {
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

function text(index: LayerIndex, path: string): string {
  const entry = index.entries.find(e => e.path === path);
  assert.ok(entry, `${path} is listed`);
  return bytesOf(index.content(entry));
}

const paths = (index: LayerIndex) => index.entries.map(e => `${e.type} ${e.path}`);

function failsWith(code: string, pattern: RegExp = /./) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof BuildError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

/** All files below the store but the database: what a failure must not leave behind. */
function filesOf(store: Store): string[] {
  return readdirSync(store.root, { recursive: true, encoding: 'utf8' })
    .filter(name => !name.startsWith('meta') && lstatSync(join(store.root, name)).isFile())
    .sort();
}

/** @param open makes a store, empty unless it was there under this `root`, with layers on it */
export function layersContract(
  name: string,
  makeRoot: () => string,
  open: (root: string, source: BlobSource) => Promise<LayersUnderTest>,
  removeRoot: (root: string) => void,
): void {
  describe(name, () => {
    let root: string;
    let remote: Remote;
    let current: LayersUnderTest;

    async function reopen(): Promise<void> {
      await current.close();
      current = await open(root, remote);
      remote.store = current.store;
    }

    before(() => {
      assert.equal(process.getuid?.(), 0, 'these tests make devices and must run as root');
    });

    beforeEach(async () => {
      root = makeRoot();
      remote = new Remote();
      current = await open(root, remote);
      remote.store = current.store;
    });

    afterEach(async () => {
      await current.close();
      removeRoot(root);
    });

    function blobText(digest: Digest): Buffer {
      const path = current.store.blobs.path(digest);
      assert.ok(path, `${digest} is in the store`);
      return readFileSync(path);
    }

    function gnuList(digest: Digest): string[] {
      const out = execFileSync('tar', ['-t', '--warning=all'], {
        input: blobText(digest),
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      return out.toString().trim().split('\n');
    }

    describe('a layer that is written', () => {
      it('is the blob of its digest, which other tools list', async () => {
        const diffId = await current.layers.write(
          [
            directory('d'),
            input('d/x', { text: 'hello' }),
            input('d/gone', { type: 'whiteout' }),
            directory('o', { opaque: true }),
            input('l', { type: 'symlink', linkTarget: 'd/x' }),
            input('h', { type: 'hardlink', linkTarget: 'd/x' }),
          ],
          signal,
        );
        assert.equal(digestOf(blobText(diffId)), diffId);
        assert.deepEqual(gnuList(diffId), ['d/', 'd/.wh.gone', 'd/x', 'h', 'l', 'o/', 'o/.wh..wh..opq']);
        assert.ok(current.layers.has(diffId));
      });

      it('has the same bytes whatever the order of the entries and the umask', async () => {
        const entries = [
          directory('a'),
          input('a/b', { text: 'b' }),
          input('a-b', { text: 'c' }),
          directory('z'),
        ];
        const one = await current.layers.write(entries, signal);
        await reopen();
        const mask = process.umask(0o077);
        try {
          assert.equal(await current.layers.write([...entries].reverse(), signal), one);
        } finally {
          process.umask(mask);
        }
      });

      it('is listed with its contents, also after the store was opened again', async () => {
        const diffId = await current.layers.write(
          [input('a', { text: 'one' }), input('b', { text: 'two' })],
          signal,
        );
        for (let i = 0; i < 2; i++) {
          const index = await current.layers.index(diffId, signal);
          assert.deepEqual(paths(index), ['file a', 'file b']);
          assert.equal(text(index, 'b'), 'two');
          await reopen();
        }
      });

      it('may be empty', async () => {
        const diffId = await current.layers.write([], signal);
        assert.equal(blobText(diffId).length, 1024);
        assert.deepEqual((await current.layers.index(diffId, signal)).entries, []);
      });

      it('takes its contents out of other layers and trees', async () => {
        const first = await current.layers.write([input('a', { text: 'from a layer' })], signal);
        const index = await current.layers.index(first, signal);
        const dir = join(current.store.tmp, 'context');
        mkdirSync(join(dir, 'sub'), { recursive: true });
        writeFileSync(join(dir, 'sub/f'), 'from a directory');
        const [entry] = index.entries;
        assert.ok(entry);
        const second = await current.layers.write(
          [
            { entry: { ...entry, path: bytePath('copy') }, content: index.content(entry) },
            {
              ...input('sub-f'),
              entry: { ...input('sub-f').entry, size: 16 },
              content: { kind: 'in-tree', root: dir, path: bytePath('sub/f'), size: 16 },
            },
          ],
          signal,
        );
        const copied = await current.layers.index(second, signal);
        assert.deepEqual([text(copied, 'copy'), text(copied, 'sub-f')], ['from a layer', 'from a directory']);
      });

      it('is refused, naming the file, when one became shorter or is gone', async () => {
        const dir = join(current.store.tmp, 'context');
        mkdirSync(dir, { recursive: true });
        writeFileSync(join(dir, 'short'), '12345');
        const make = (file: string): LayerInput => ({
          entry: { ...input(file).entry, size: 10 },
          content: { kind: 'in-tree', root: dir, path: bytePath(file), size: 10 },
        });
        await assert.rejects(
          current.layers.write([make('short')], signal),
          failsWith('context', /"short" became shorter/),
        );
        await assert.rejects(
          current.layers.write([make('missing')], signal),
          failsWith('context', /"missing"/),
        );
        assert.deepEqual(
          filesOf(current.store).filter(file => /^(blobs|layers|ingest)/.test(file)),
          [],
        );
      });

      it('does not follow a link that takes the place of a file or a directory', async () => {
        const dir = join(current.store.tmp, 'context');
        mkdirSync(join(dir, 'real'), { recursive: true });
        writeFileSync(join(dir, 'real/f'), 'secret');
        execFileSync('ln', ['-s', 'real', join(dir, 'linked')]);
        execFileSync('ln', ['-s', 'real/f', join(dir, 'file')]);
        for (const path of ['linked/f', 'file']) {
          const entry = { ...input(path).entry, size: 6 };
          const content: ContentSource = { kind: 'in-tree', root: dir, path: bytePath(path), size: 6 };
          await assert.rejects(current.layers.write([{ entry, content }], signal), failsWith('context'));
        }
      });

      it('is refused when a file is called like a whiteout', async () => {
        await assert.rejects(current.layers.write([input('.wh.x')], signal), failsWith('context', /\.wh\.x/));
      });
    });

    describe('a layer that an image came with', () => {
      const tar = tarBytes(
        { path: 'etc', type: 'directory' },
        { path: 'etc/passwd', text: 'root:x:0:0::/:/bin/sh\n' },
        { path: 'data', text: 'some data' },
        { path: '.wh.old' },
      );
      const diffId = digestOf(tar);
      const packed = gzipSync(tar);

      it('is fetched when it is asked for, once however many ask', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        assert.ok(current.layers.has(diffId));
        assert.deepEqual(remote.fetched, []);
        const indexes = await Promise.all([1, 2, 3].map(() => current.layers.index(diffId, signal)));
        for (const index of indexes) assert.equal(text(index, 'data'), 'some data');
        assert.deepEqual(paths(indexes[0] as LayerIndex), [
          'file data',
          'directory etc',
          'file etc/passwd',
          'whiteout old',
        ]);
        assert.equal(remote.fetched.length, 1);
        await reopen();
        await current.layers.index(diffId, signal);
        assert.equal(remote.fetched.length, 1);
      });

      it('is not written out when only its names are needed', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        const index = await current.layers.index(diffId, signal, 'names');
        assert.equal(text(index, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
        assert.equal(current.store.blobs.path(diffId), undefined);
        const view = makeView([index], 'a test');
        const entry = view.lookup(bytePath('data'));
        assert.ok(entry);
        assert.deepEqual(await view.contentDigests([entry]), [digestOf('some data')]);
      });

      it('gives contents to another layer though only its names were asked for', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        const index = await current.layers.index(diffId, signal, 'names');
        const entry = index.entries.find(e => e.path === 'data');
        assert.ok(entry);
        const copy = await current.layers.write([{ entry, content: index.content(entry) }], signal);
        assert.equal(text(await current.layers.index(copy, signal), 'data'), 'some data');
      });

      it('is unpacked in overlay format, into directories that others cannot enter', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        const tree = await current.layers.tree(diffId, signal);
        assert.equal(readFileSync(join(tree, 'data'), 'utf8'), 'some data');
        const whiteout = lstatSync(join(tree, 'old'));
        assert.ok(whiteout.isCharacterDevice());
        assert.equal(whiteout.rdev, 0);
        assert.equal(statSync(join(tree, '..')).mode & 0o777, 0o700);
        assert.equal(await current.layers.tree(diffId, signal), tree);
        assert.equal(remote.fetched.length, 1);
        assert.equal(text(await current.layers.index(diffId, signal), 'data'), 'some data');
      });

      it('may come uncompressed', async () => {
        current.layers.adopt(diffId, remote.offer(tar, mediaTypes.ociLayerTar));
        assert.equal(text(await current.layers.index(diffId, signal), 'data'), 'some data');
        assert.deepEqual(await current.layers.tar(diffId, signal), { diffId, size: tar.length });
      });

      it('is refused when it is not what the image promises, and nothing of it is kept', async () => {
        const promised = digestOf('something else');
        const descriptor = remote.offer(packed);
        current.layers.adopt(promised, descriptor);
        for (const ask of [
          () => current.layers.index(promised, signal),
          () => current.layers.index(promised, signal, 'names'),
          () => current.layers.tree(promised, signal),
          () => current.layers.tar(promised, signal),
        ]) {
          await assert.rejects(ask(), failsWith('integrity', /does not hold the bytes/));
        }
        assert.equal(current.store.blobs.path(promised), undefined);
        assert.deepEqual(readdirSync(join(root, 'trees')), []);
        assert.deepEqual(
          filesOf(current.store).filter(f => f.startsWith('layers') || f.startsWith('ingest/')),
          [],
        );
      });

      for (const [what, bytes] of [
        ['truncated', packed.subarray(0, packed.length - 20)],
        ['no gzip at all', Buffer.from('garbage that is long enough to be looked at')],
      ] as const) {
        it(`is refused when it is ${what}`, async () => {
          current.layers.adopt(diffId, remote.offer(Buffer.from(bytes)));
          await assert.rejects(current.layers.index(diffId, signal), failsWith('integrity'));
          assert.equal(current.store.blobs.path(diffId), undefined);
        });
      }

      it('reports a fetch that fails, and can be asked again', async () => {
        const descriptor = remote.offer(packed);
        current.layers.adopt(diffId, descriptor);
        remote.blobs.clear();
        await assert.rejects(current.layers.tree(diffId, signal), failsWith('network'));
        remote.offer(packed);
        assert.ok(await current.layers.tree(diffId, signal));
      });

      it('is listed anew when its index file is damaged', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        const before = paths(await current.layers.index(diffId, signal));
        await reopen();
        for (const file of readdirSync(join(root, 'layers'))) truncateSync(join(root, 'layers', file), 50);
        assert.deepEqual(paths(await current.layers.index(diffId, signal)), before);
      });

      it('expands sparse files', async () => {
        const dir = join(current.store.tmp, 'sparse');
        mkdirSync(dir, { recursive: true });
        writeFileSync(join(dir, 'log'), '');
        truncateSync(join(dir, 'log'), 3_000_000);
        writeFileSync(join(dir, 'log'), 'end', { flag: 'a' });
        const bytes = execFileSync('tar', ['-C', dir, '-cS', '--format=gnu', 'log'], { maxBuffer: 1 << 26 });
        assert.ok(bytes.length < 100_000, 'tar stored it sparse');
        const id = digestOf(bytes);
        current.layers.adopt(id, remote.offer(bytes, mediaTypes.ociLayerTar));
        const index = await current.layers.index(id, signal);
        assert.deepEqual(await index.digests?.(index.entries), [
          digestOf(Buffer.concat([Buffer.alloc(3_000_000), Buffer.from('end')])),
        ]);
        const copy = await current.layers.write(
          index.entries.map(entry => ({ entry, content: index.content(entry) })),
          signal,
        );
        assert.equal(current.store.blobs.size(copy), 512 + 3_000_320 + 1024);
      });

      it('is not known without being adopted', async () => {
        assert.equal(current.layers.has(diffId), false);
        await assert.rejects(current.layers.index(diffId, signal), failsWith('not-found'));
        await assert.rejects(current.layers.tree('tree:none', signal), failsWith('not-found'));
      });

      it('stops when nobody waits any more, and leaves nothing behind', async () => {
        current.layers.adopt(diffId, remote.offer(packed));
        const controller = new AbortController();
        const asked = current.layers.tree(diffId, controller.signal);
        controller.abort(new BuildError('interrupted', 'enough'));
        await assert.rejects(asked, failsWith('interrupted'));
        assert.deepEqual(readdirSync(join(root, 'trees')), []);
        assert.ok(await current.layers.tree(diffId, signal));
      });
    });

    describe('a layer that a command left behind', () => {
      async function runTree(fill: (fs: string) => void): Promise<string> {
        await using ingest = await current.store.trees.begin();
        fill(ingest.fs);
        await ingest.commit('run-1');
        return current.layers.fromTree('run-1');
      }

      function fillFully(fs: string): void {
        mkdirSync(join(fs, 'd'));
        writeFileSync(join(fs, 'd/new'), 'new');
        execFileSync('ln', [join(fs, 'd/new'), join(fs, 'a-link')]);
        execFileSync('mknod', [join(fs, 'd/gone'), 'c', '0', '0']);
        mkdirSync(join(fs, 'opaque'));
        execFileSync('setfattr', ['-n', 'trusted.overlay.opaque', '-v', 'y', join(fs, 'opaque')]);
        execFileSync('touch', ['-h', '-d', '@2000000000', join(fs, 'd/new')]);
      }

      it('is listed without being written', async () => {
        const id = await runTree(fillFully);
        assert.ok(current.layers.has(id));
        const index = await current.layers.index(id, signal);
        assert.deepEqual(paths(index), [
          'file a-link',
          'directory d',
          'whiteout d/gone',
          'hardlink d/new',
          'directory opaque',
        ]);
        assert.equal(index.entries[4]?.opaque, true);
        assert.equal(text(index, 'a-link'), 'new');
        assert.deepEqual(readdirSync(join(root, 'blobs/sha256')), []);
      });

      it('is written when somebody asks, and unpacked again by nobody', async () => {
        const id = await runTree(fillFully);
        const { diffId, size } = await current.layers.tar(id, signal);
        assert.deepEqual(gnuList(diffId), [
          'a-link',
          'd/',
          'd/.wh.gone',
          'd/new',
          'opaque/',
          'opaque/.wh..wh..opq',
        ]);
        assert.equal(current.store.blobs.size(diffId), size);
        assert.deepEqual(await current.layers.tar(id, signal), { diffId, size });
        await reopen();
        assert.equal(await current.layers.tree(diffId, signal), await current.layers.tree(id, signal));
        assert.equal(text(await current.layers.index(diffId, signal), 'a-link'), 'new');
      });

      it('is written with times no later than asked for', async () => {
        const id = await runTree(fillFully);
        const { diffId } = await current.layers.tar(id, signal, 1_500_000_000);
        const index = await current.layers.index(diffId, signal);
        assert.equal(Math.max(...index.entries.map(e => e.mtimeSec)), 1_500_000_000);
        assert.notEqual((await current.layers.tar(id, signal)).diffId, diffId);
        const plain = (await current.layers.tar(id, signal)).diffId;
        assert.equal((await current.layers.tar(plain, signal, 1_500_000_000)).diffId, diffId);
        assert.equal((await current.layers.tar(diffId, signal, 1_500_000_000)).diffId, diffId);
      });

      it('is refused when there is no such tree', () => {
        assert.throws(() => current.layers.fromTree('nothing'), failsWith('internal'));
      });
    });

    describe('a packed layer', () => {
      const oci = { format: 'oci', compression: 'gzip' } as const;

      it('is gzip of the tar, the same every time', async () => {
        const diffId = await current.layers.write([input('a', { text: 'x'.repeat(300_000) })], signal);
        const blob = await current.layers.blob(diffId, oci, signal);
        assert.equal(blob.mediaType, mediaTypes.ociLayerGzip);
        const bytes = blobText(blob.digest);
        assert.equal(bytes.length, blob.size);
        assert.ok(gunzipSync(bytes).equals(blobText(diffId)));
        assert.deepEqual(await current.layers.blob(diffId, oci, signal), blob);
        assert.equal(
          (await current.layers.blob(diffId, { ...oci, format: 'docker' }, signal)).mediaType,
          mediaTypes.dockerLayerGzip,
        );
      });

      it('is packed at the level asked for', async () => {
        const lines = Array.from({ length: 20_000 }, (_, i) => `line ${(i * 7919) % 1000}`).join('\n');
        const diffId = await current.layers.write([input('a', { text: lines })], signal);
        const fast = await current.layers.blob(diffId, { ...oci, level: 1 }, signal);
        const small = await current.layers.blob(diffId, { ...oci, level: 9 }, signal);
        assert.ok(small.size < fast.size, `${small.size} < ${fast.size}`);
      });

      it('is the tar itself when no compression is wanted', async () => {
        const diffId = await current.layers.write([input('a')], signal);
        const blob = await current.layers.blob(
          diffId,
          { format: 'docker', compression: 'uncompressed' },
          signal,
        );
        assert.equal(blob.digest, diffId);
        assert.equal(blob.mediaType, mediaTypes.dockerLayerTar);
      });

      it('is zstd in its own media type', async () => {
        const diffId = await current.layers.write([input('a', { text: 'x'.repeat(1000) })], signal);
        const blob = await current.layers.blob(diffId, { format: 'docker', compression: 'zstd' }, signal);
        assert.equal(blob.mediaType, mediaTypes.ociLayerZstd);
        assert.equal(blobText(blob.digest).readUInt32LE(0), 0xfd2fb528);
      });

      it('is what the layer came with, unless packing is forced', async () => {
        const tar = tarBytes({ path: 'a', text: 'x'.repeat(1000) });
        const diffId = digestOf(tar);
        const own = remote.offer(gzipSync(tar, { level: 1 }));
        current.layers.adopt(diffId, own);
        assert.equal((await current.layers.blob(diffId, { ...oci, lazy: true }, signal)).digest, own.digest);
        assert.deepEqual(remote.fetched, []);
        const asIs = await current.layers.blob(diffId, { format: 'docker', compression: 'zstd' }, signal);
        assert.deepEqual([asIs.digest, asIs.mediaType], [own.digest, mediaTypes.dockerLayerGzip]);
        assert.ok(current.store.blobs.path(own.digest), 'it is in the store afterwards');
        const forced = await current.layers.blob(
          diffId,
          { format: 'oci', compression: 'uncompressed', force: true },
          signal,
        );
        assert.equal(forced.digest, diffId);
      });
    });

    describe('a stack of layers', () => {
      const base = [
        { path: 'd', type: 'directory', mode: 0o711 },
        { path: 'd/f', text: 'below' },
        { path: 'run', type: 'directory' },
        { path: 'var', type: 'directory' },
        { path: 'var/run', type: 'symlink', linkTarget: '../run' },
      ] as const;

      async function stack(
        ...upper: readonly TarSpec[]
      ): Promise<{ ids: Digest[]; trees: readonly string[] }> {
        const ids = [tarBytes(...base), tarBytes(...upper)].map(tar => {
          current.layers.adopt(digestOf(tar), remote.offer(tar, mediaTypes.ociLayerTar));
          return digestOf(tar);
        });
        return { ids, trees: await current.layers.trees(ids, signal) };
      }

      it('is the trees of its layers when each can stand alone', async () => {
        const { ids, trees } = await stack({ path: 'd', type: 'directory' }, { path: 'd/g' });
        assert.deepEqual(trees, await Promise.all(ids.map(id => current.layers.tree(id, signal))));
      });

      it('keeps what is below of a directory that the layer does not list', async () => {
        const { trees } = await stack({ path: 'd/g', text: 'above' });
        const top = trees[1] ?? '';
        assert.equal(statSync(join(top, 'd')).mode & 0o7777, 0o711);
        assert.equal(readFileSync(join(top, 'd/g'), 'utf8'), 'above');
        assert.deepEqual(await stack({ path: 'd/g', text: 'above' }).then(s => s.trees), trees);
      });

      it('puts a file below a symlinked directory where the link leads', async () => {
        const { trees } = await stack({ path: 'var/run/pid', text: '1' });
        assert.equal(readFileSync(join(trees[1] ?? '', 'run/pid'), 'utf8'), '1');
      });

      it('brings along the file of a lower layer that it links to', async () => {
        const { trees } = await stack({ path: 'link', type: 'hardlink', linkTarget: 'd/f' });
        assert.equal(readFileSync(join(trees[1] ?? '', 'link'), 'utf8'), 'below');
      });
    });

    it('takes any bytes through tar, tree and tar again unchanged', async () => {
      const tree: LayerInput[] = [
        directory('caf\u00e9', { mode: 0o2755, uid: 3_000_000, gid: 5 }),
        input('caf\u00e9/suid', { mode: 0o4755, uid: 1, text: 'x' }),
        input('neg', { mtimeSec: -1 }),
        input('pipe', { type: 'fifo' }),
        input('dev', { type: 'block', devMajor: 7, devMinor: 300 }),
        input(`${'long/'.repeat(50)}${'n'.repeat(200)}`, { text: 'deep' }),
        input('cap', {
          text: 'y',
          xattrs: {
            'security.capability':
              '\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00',
          },
        }),
        input('user', { xattrs: { 'user.note': 'a\xff\x00b' } }),
        { ...input('x'), entry: { ...input('x').entry, path: 'bad\xff\xfename' as BytePath } },
        input('link', { type: 'symlink', linkTarget: '\xe9/nowhere' }),
        input('hard', { type: 'hardlink', linkTarget: 'neg' }),
      ];
      for (let i = 1; i <= 50; i++) tree.push(directory('long/'.repeat(i).slice(0, -1)));
      const diffId = await current.layers.write(tree, signal);
      const fs = await current.layers.tree(diffId, signal);
      await using ingest = await current.store.trees.begin();
      execFileSync('cp', ['-a', `${fs}/.`, ingest.fs]);
      await ingest.commit('copied');
      const again = await current.layers.tar(current.layers.fromTree('copied'), signal);
      assert.equal(again.diffId, diffId);
    });
  });
}
