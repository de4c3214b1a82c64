// Contract of Layers: what is made of a layer: a tar of a tree, packed blobs, stacks.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type Digest, digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import type { BytePath, LayerInput } from '../../src/tree/entry.ts';
import { type TarSpec, tarBytes } from '../support/layer-tar.ts';
import {
  directory,
  failsWith,
  input,
  type LayersFixture,
  paths,
  signal,
  text,
} from '../support/layers-fixture.ts';

/** Part of layers.ts. */
export function treeLayers(at: LayersFixture): void {
  describe('a layer that a command left behind', () => {
    async function runTree(fill: (fs: string) => void): Promise<string> {
      await using ingest = await at.store.trees.begin();
      fill(ingest.fs);
      await ingest.commit('run-1');
      return at.layers.fromTree('run-1');
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
      assert.ok(at.layers.has(id));
      const index = await at.layers.index(id, signal);
      assert.deepEqual(paths(index), [
        'file a-link',
        'directory d',
        'whiteout d/gone',
        'hardlink d/new',
        'directory opaque',
      ]);
      assert.equal(index.entries[4]?.opaque, true);
      assert.equal(text(index, 'a-link'), 'new');
      assert.deepEqual(readdirSync(join(at.root, 'blobs/sha256')), []);
    });

    it('is written when somebody asks, and unpacked again by nobody', async () => {
      const id = await runTree(fillFully);
      const { diffId, size } = await at.layers.tar(id, signal);
      assert.deepEqual(at.gnuList(diffId), [
        'a-link',
        'd/',
        'd/.wh.gone',
        'd/new',
        'opaque/',
        'opaque/.wh..wh..opq',
      ]);
      assert.equal(at.store.blobs.size(diffId), size);
      assert.deepEqual(await at.layers.tar(id, signal), { diffId, size });
      await at.reopen();
      assert.equal(await at.layers.tree(diffId, signal), await at.layers.tree(id, signal));
      assert.equal(text(await at.layers.index(diffId, signal), 'a-link'), 'new');
    });

    it('is written with times no later than asked for', async () => {
      const id = await runTree(fillFully);
      const { diffId } = await at.layers.tar(id, signal, 1_500_000_000);
      const index = await at.layers.index(diffId, signal);
      assert.equal(Math.max(...index.entries.map(e => e.mtimeSec)), 1_500_000_000);
      assert.notEqual((await at.layers.tar(id, signal)).diffId, diffId);
      const plain = (await at.layers.tar(id, signal)).diffId;
      assert.equal((await at.layers.tar(plain, signal, 1_500_000_000)).diffId, diffId);
      assert.equal((await at.layers.tar(diffId, signal, 1_500_000_000)).diffId, diffId);
    });

    it('is refused when there is no such tree', () => {
      assert.throws(() => at.layers.fromTree('nothing'), failsWith('internal'));
    });
  });
}

/** Part of layers.ts. */
export function packedLayers(at: LayersFixture): void {
  describe('a packed layer', () => {
    const oci = { format: 'oci', compression: 'gzip' } as const;

    it('is gzip of the tar, the same every time', async () => {
      const diffId = await at.layers.write([input('a', { text: 'x'.repeat(300_000) })], signal);
      const blob = await at.layers.blob(diffId, oci, signal);
      assert.equal(blob.mediaType, mediaTypes.ociLayerGzip);
      const bytes = at.blobText(blob.digest);
      assert.equal(bytes.length, blob.size);
      assert.ok(gunzipSync(bytes).equals(at.blobText(diffId)));
      assert.deepEqual(await at.layers.blob(diffId, oci, signal), blob);
      assert.equal(
        (await at.layers.blob(diffId, { ...oci, format: 'docker' }, signal)).mediaType,
        mediaTypes.dockerLayerGzip,
      );
    });

    it('is packed at the level asked for', async () => {
      const lines = Array.from({ length: 20_000 }, (_, i) => `line ${(i * 7919) % 1000}`).join('\n');
      const diffId = await at.layers.write([input('a', { text: lines })], signal);
      const fast = await at.layers.blob(diffId, { ...oci, level: 1 }, signal);
      const small = await at.layers.blob(diffId, { ...oci, level: 9 }, signal);
      assert.ok(small.size < fast.size, `${small.size} < ${fast.size}`);
    });

    it('is the tar itself when no compression is wanted', async () => {
      const diffId = await at.layers.write([input('a')], signal);
      const blob = await at.layers.blob(diffId, { format: 'docker', compression: 'uncompressed' }, signal);
      assert.equal(blob.digest, diffId);
      assert.equal(blob.mediaType, mediaTypes.dockerLayerTar);
    });

    it('is zstd in its own media type', async () => {
      const diffId = await at.layers.write([input('a', { text: 'x'.repeat(1000) })], signal);
      const blob = await at.layers.blob(diffId, { format: 'docker', compression: 'zstd' }, signal);
      assert.equal(blob.mediaType, mediaTypes.ociLayerZstd);
      assert.equal(at.blobText(blob.digest).readUInt32LE(0), 0xfd2fb528);
    });

    it('is what the layer came with, unless packing is forced', async () => {
      const tar = tarBytes({ path: 'a', text: 'x'.repeat(1000) });
      const diffId = digestOf(tar);
      const own = at.remote.offer(gzipSync(tar, { level: 1 }));
      at.layers.adopt(diffId, own);
      assert.equal((await at.layers.blob(diffId, { ...oci, lazy: true }, signal)).digest, own.digest);
      assert.deepEqual(at.remote.fetched, []);
      const asIs = await at.layers.blob(diffId, { format: 'docker', compression: 'zstd' }, signal);
      assert.deepEqual([asIs.digest, asIs.mediaType], [own.digest, mediaTypes.dockerLayerGzip]);
      assert.ok(at.store.blobs.path(own.digest), 'it is in the store afterwards');
      const forced = await at.layers.blob(
        diffId,
        { format: 'oci', compression: 'uncompressed', force: true },
        signal,
      );
      assert.equal(forced.digest, diffId);
    });

    it('is compressed though it came as a bare tar', async () => {
      const tar = tarBytes({ path: 'a', text: 'x'.repeat(1000) });
      const diffId = digestOf(tar);
      at.layers.adopt(diffId, at.remote.offer(tar, mediaTypes.ociLayerTar));
      const blob = await at.layers.blob(diffId, oci, signal);
      assert.equal(blob.mediaType, mediaTypes.ociLayerGzip);
      assert.ok(gunzipSync(at.blobText(blob.digest)).equals(tar));
      const bare = { format: 'oci', compression: 'uncompressed', lazy: true } as const;
      assert.equal((await at.layers.blob(diffId, bare, signal)).digest, diffId);
    });
  });
}

/** Part of layers.ts. */
export function stackedLayers(at: LayersFixture): void {
  describe('a stack of layers', () => {
    const base = [
      { path: 'd', type: 'directory', mode: 0o711 },
      { path: 'd/f', text: 'below' },
      { path: 'run', type: 'directory' },
      { path: 'var', type: 'directory' },
      { path: 'var/run', type: 'symlink', linkTarget: '../run' },
    ] as const;

    async function stack(...upper: readonly TarSpec[]): Promise<{ ids: Digest[]; trees: readonly string[] }> {
      const ids = [tarBytes(...base), tarBytes(...upper)].map(tar => {
        at.layers.adopt(digestOf(tar), at.remote.offer(tar, mediaTypes.ociLayerTar));
        return digestOf(tar);
      });
      return { ids, trees: await at.layers.trees(ids, signal) };
    }

    it('is the trees of its layers when each can stand alone', async () => {
      const { ids, trees } = await stack({ path: 'd', type: 'directory' }, { path: 'd/g' });
      assert.deepEqual(trees, await Promise.all(ids.map(id => at.layers.tree(id, signal))));
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
    const diffId = await at.layers.write(tree, signal);
    const fs = await at.layers.tree(diffId, signal);
    await using ingest = await at.store.trees.begin();
    execFileSync('cp', ['-a', `${fs}/.`, ingest.fs]);
    await ingest.commit('copied');
    const again = await at.layers.tar(at.layers.fromTree('copied'), signal);
    assert.deepEqual(
      (await at.layers.index(again.diffId, signal)).entries,
      (await at.layers.index(diffId, signal)).entries,
    );
    assert.equal(again.diffId, diffId);
  });
}
