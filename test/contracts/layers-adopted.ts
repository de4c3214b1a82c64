// Contract of Layers: layers that came with an image.
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
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { BuildError } from '../../src/errors.ts';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import type { LayerIndex } from '../../src/layer/layers.ts';
import { makeView } from '../../src/layer/view.ts';
import { bytePath } from '../../src/tree/entry.ts';
import { type TarSpec, tarBytes } from '../support/layer-tar.ts';
import { failsWith, type LayersFixture, paths, signal, text } from '../support/layers-fixture.ts';

/** Part of layers.ts. */
export function adoptedLayers(at: LayersFixture): void {
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
      at.layers.adopt(diffId, at.remote.offer(packed));
      assert.ok(at.layers.has(diffId));
      assert.deepEqual(at.remote.fetched, []);
      const indexes = await Promise.all([1, 2, 3].map(() => at.layers.index(diffId, signal)));
      for (const index of indexes) assert.equal(text(index, 'data'), 'some data');
      assert.deepEqual(paths(indexes[0] as LayerIndex), [
        'file data',
        'directory etc',
        'file etc/passwd',
        'whiteout old',
      ]);
      assert.equal(at.remote.fetched.length, 1);
      await at.reopen();
      await at.layers.index(diffId, signal);
      assert.equal(at.remote.fetched.length, 1);
    });

    it('is not written out when only its names are needed', async () => {
      at.layers.adopt(diffId, at.remote.offer(packed));
      const index = await at.layers.index(diffId, signal, 'names');
      assert.equal(text(index, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
      assert.equal(at.store.blobs.path(diffId), undefined);
      const view = makeView([index], 'a test');
      const entry = view.lookup(bytePath('data'));
      assert.ok(entry);
      assert.deepEqual(await view.contentDigests([entry]), [digestOf('some data')]);
    });

    it('gives contents to another layer though only its names were asked for', async () => {
      at.layers.adopt(diffId, at.remote.offer(packed));
      const index = await at.layers.index(diffId, signal, 'names');
      const entry = index.entries.find(e => e.path === 'data');
      assert.ok(entry);
      const copy = await at.layers.write([{ entry, content: index.content(entry) }], signal);
      assert.equal(text(await at.layers.index(copy, signal), 'data'), 'some data');
    });

    it('is unpacked in overlay format, into directories that others cannot enter', async () => {
      at.layers.adopt(diffId, at.remote.offer(packed));
      const tree = await at.layers.tree(diffId, signal);
      assert.equal(readFileSync(join(tree, 'data'), 'utf8'), 'some data');
      const whiteout = lstatSync(join(tree, 'old'));
      assert.ok(whiteout.isCharacterDevice());
      assert.equal(whiteout.rdev, 0);
      assert.equal(statSync(join(tree, '..')).mode & 0o777, 0o700);
      assert.equal(await at.layers.tree(diffId, signal), tree);
      assert.equal(at.remote.fetched.length, 1);
      assert.equal(text(await at.layers.index(diffId, signal), 'data'), 'some data');
    });

    for (const [what, specs] of [
      ['lists', [{ path: '.wh.d' }, { path: 'd', type: 'directory' }, { path: 'd/x' }]],
      ['lists first', [{ path: 'd', type: 'directory' }, { path: 'd/x' }, { path: '.wh.d' }]],
      ['does not list', [{ path: '.wh.d' }, { path: 'd/x' }]],
    ] as [string, TarSpec[]][]) {
      it(`is one with an opaque directory when it deletes a directory, fills it again and ${what} it`, async () => {
        const bytes = tarBytes(...specs);
        const id = digestOf(bytes);
        at.layers.adopt(id, at.remote.offer(bytes, mediaTypes.ociLayerTar));
        const directory = join(await at.layers.tree(id, signal), 'd');
        assert.ok(lstatSync(join(directory, 'x')).isFile());
        const opaque = execFileSync('getfattr', ['--only-values', '-n', 'trusted.overlay.opaque', directory]);
        assert.equal(opaque.toString(), 'y');
        const { entries } = await at.layers.index(id, signal);
        assert.deepEqual([entries[0]?.path, entries[0]?.opaque], ['d', true]);
      });
    }

    it('may come uncompressed', async () => {
      at.layers.adopt(diffId, at.remote.offer(tar, mediaTypes.ociLayerTar));
      assert.equal(text(await at.layers.index(diffId, signal), 'data'), 'some data');
      assert.deepEqual(await at.layers.tar(diffId, signal), { diffId, size: tar.length });
    });

    it('is refused when it is not what the image promises, and nothing of it is kept', async () => {
      const promised = digestOf('something else');
      const descriptor = at.remote.offer(packed);
      at.layers.adopt(promised, descriptor);
      for (const ask of [
        () => at.layers.index(promised, signal),
        () => at.layers.index(promised, signal, 'names'),
        () => at.layers.tree(promised, signal),
        () => at.layers.tar(promised, signal),
      ]) {
        await assert.rejects(ask(), failsWith('integrity', /does not hold the bytes/));
      }
      assert.equal(at.store.blobs.path(promised), undefined);
      assert.deepEqual(readdirSync(join(at.root, 'trees')), []);
      assert.deepEqual(
        at.files().filter(f => f.startsWith('layers') || f.startsWith('ingest/')),
        [],
      );
    });

    for (const [what, bytes] of [
      ['truncated', packed.subarray(0, packed.length - 20)],
      ['no gzip at all', Buffer.from('garbage that is long enough to be looked at')],
    ] as const) {
      it(`is refused when it is ${what}`, async () => {
        at.layers.adopt(diffId, at.remote.offer(Buffer.from(bytes)));
        await assert.rejects(at.layers.index(diffId, signal), failsWith('integrity'));
        assert.equal(at.store.blobs.path(diffId), undefined);
      });
    }

    it('reports a fetch that fails, and can be asked again', async () => {
      const descriptor = at.remote.offer(packed);
      at.layers.adopt(diffId, descriptor);
      at.remote.blobs.clear();
      await assert.rejects(at.layers.tree(diffId, signal), failsWith('network'));
      at.remote.offer(packed);
      assert.ok(await at.layers.tree(diffId, signal));
    });

    it('is listed anew when its index file is damaged', async () => {
      at.layers.adopt(diffId, at.remote.offer(packed));
      const before = paths(await at.layers.index(diffId, signal));
      await at.reopen();
      for (const file of readdirSync(join(at.root, 'layers')))
        truncateSync(join(at.root, 'layers', file), 50);
      assert.deepEqual(paths(await at.layers.index(diffId, signal)), before);
    });

    it('expands sparse files', async () => {
      const dir = join(at.store.tmp, 'sparse');
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'log'), '');
      truncateSync(join(dir, 'log'), 3_000_000);
      writeFileSync(join(dir, 'log'), 'end', { flag: 'a' });
      const bytes = execFileSync('tar', ['-C', dir, '-cS', '--format=gnu', 'log'], { maxBuffer: 1 << 26 });
      assert.ok(bytes.length < 100_000, 'tar stored it sparse');
      const id = digestOf(bytes);
      at.layers.adopt(id, at.remote.offer(bytes, mediaTypes.ociLayerTar));
      const index = await at.layers.index(id, signal);
      assert.deepEqual(await index.digests?.(index.entries), [
        digestOf(Buffer.concat([Buffer.alloc(3_000_000), Buffer.from('end')])),
      ]);
      const copy = await at.layers.write(
        index.entries.map(entry => ({ entry, content: index.content(entry) })),
        signal,
      );
      assert.equal(at.store.blobs.size(copy), 512 + 3_000_320 + 1024);
    });

    it('is not known without being adopted', async () => {
      assert.equal(at.layers.has(diffId), false);
      await assert.rejects(at.layers.index(diffId, signal), failsWith('not-found'));
      await assert.rejects(at.layers.tree('tree:none', signal), failsWith('not-found'));
    });

    it('stops when nobody waits any more, and leaves nothing behind', async () => {
      at.layers.adopt(diffId, at.remote.offer(packed));
      const controller = new AbortController();
      const asked = at.layers.tree(diffId, controller.signal);
      controller.abort(new BuildError('interrupted', 'enough'));
      await assert.rejects(asked, failsWith('interrupted'));
      assert.deepEqual(readdirSync(join(at.root, 'trees')), []);
      assert.ok(await at.layers.tree(diffId, signal));
    });
  });
}
