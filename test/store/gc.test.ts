import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Digest, digestOf, hexOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { collectGarbage, type GarbageOptions } from '../../src/store/gc.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import { withTempDir } from '../support/temp-dir.ts';

function withStore(work: (store: Store) => Promise<void>): Promise<void> {
  return withTempDir(async dir => {
    const store = await openStore(join(dir, 'store'));
    try {
      await work(store);
    } finally {
      await store.close();
    }
  });
}

const day = 86_400_000;

/** As if nothing had been used for a day; this process' own writing does not count. */
function collect(store: Store, options: Partial<GarbageOptions> = {}) {
  return collectGarbage(store, { dryRun: false, now: () => Date.now() + day, useWindowMs: 0, ...options });
}

/** A session's directory counts as life: what was written is closed and opened again. */
async function reopened(store: Store, work: (store: Store) => Promise<void>): Promise<void> {
  await store.close();
  const again = await openStore(store.root);
  try {
    await work(again);
  } finally {
    await again.close();
  }
}

async function putImage(store: Store, text: string): Promise<{ manifest: Digest; all: Digest[] }> {
  const layer = await store.blobs.put(`${text} layer`);
  const packed = await store.blobs.put(`${text} layer, packed`);
  const config = await store.blobs.put(
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [layer] } }),
  );
  const descriptor = (mediaType: string, digest: Digest) => ({ mediaType, digest, size: 1 });
  const manifest = await store.blobs.put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(mediaTypes.ociConfig, config),
      layers: [descriptor(mediaTypes.ociLayerGzip, packed)],
    }),
  );
  return { manifest, all: [layer, packed, config, manifest] };
}

async function putTree(store: Store, id: string): Promise<void> {
  const tree = await store.trees.begin();
  writeFileSync(join(tree.fs, 'file'), 'x'.repeat(10_000));
  await tree.commit(id);
}

const record = (layer: string | null, createdAt = new Date().toISOString()) => ({
  layer,
  createdAt,
  durationMs: 1,
  display: 'RUN x',
  parts: [],
});

describe('garbage collection', () => {
  it('keeps everything that a name reaches and removes the rest', () =>
    withStore(async store => {
      const named = await putImage(store, 'named');
      const loose = await putImage(store, 'loose');
      await putTree(store, hexOf(named.all[0] ?? assert.fail()));
      await putTree(store, 'loose');
      const descriptor = { mediaType: mediaTypes.ociManifest, digest: named.manifest, size: 1 };
      await store.names.set('docker.io/library/app:1', descriptor);
      await reopened(store, async again => {
        const report = await collect(again);
        for (const digest of named.all) assert.ok(again.blobs.path(digest), digest);
        for (const digest of loose.all) assert.equal(again.blobs.path(digest), undefined, digest);
        assert.ok(again.trees.path(hexOf(named.all[0] ?? assert.fail())));
        assert.equal(again.trees.path('loose'), undefined);
        assert.equal(report.removed.length, loose.all.length + 1);
        assert.ok(report.freedBytes >= 10_000);
        await again.names.delete('docker.io/library/app:1');
        await collect(again);
        assert.deepEqual(readdirSync(join(again.root, 'blobs/sha256')), []);
        assert.deepEqual(readdirSync(join(again.root, 'trees')), []);
      });
    }));

  it('reaches an image through the index of several platforms', () =>
    withStore(async store => {
      const image = await putImage(store, 'one');
      const manifests = [{ mediaType: mediaTypes.ociManifest, digest: image.manifest, size: 1 }];
      const index = await store.blobs.put(JSON.stringify({ schemaVersion: 2, manifests }));
      const descriptor = { mediaType: mediaTypes.ociIndex, digest: index, size: 1 };
      await store.names.set('docker.io/library/app:1', descriptor);
      await reopened(store, async again => {
        await collect(again);
        for (const digest of [index, ...image.all]) assert.ok(again.blobs.path(digest));
      });
    }));

  it('keeps what records lead to as long as they are young enough', () =>
    withStore(async store => {
      const layer = await store.blobs.put('of a step');
      const packed = await store.blobs.put('packed');
      await putTree(store, 'of-a-run');
      store.meta.set('layers', layer, { blobs: [{ digest: packed }] });
      const old = new Date(Date.now() - 2 * day).toISOString();
      const keys = ['a', 'b', 'c'].map(digestOf);
      store.meta.set('records', keys[0] ?? '', record(layer, old));
      store.meta.set('records', keys[1] ?? '', record('tree:of-a-run'));
      store.meta.set('records', keys[2] ?? '', { alias: keys[0] });
      await reopened(store, async again => {
        await collect(again);
        assert.ok(again.blobs.path(layer));
        assert.ok(again.blobs.path(packed));
        await collect(again, { recordsOlderThanMs: 2.5 * day });
        assert.equal(again.blobs.path(layer), undefined);
        assert.equal(again.blobs.path(packed), undefined);
        assert.ok(again.trees.path('of-a-run'));
        assert.deepEqual(
          [...again.meta.entries('records')].map(([key]) => key),
          [keys[1]],
        );
        assert.deepEqual([...again.meta.entries('layers')], []);
        await collect(again, { recordsOlderThanMs: 0 });
        assert.equal(again.trees.path('of-a-run'), undefined);
      });
    }));

  it('keeps base images that are only remembered unless asked not to', () =>
    withStore(async store => {
      const base = await putImage(store, 'base');
      store.meta.set('misc', 'remembered base', { digest: base.manifest });
      await reopened(store, async again => {
        await collect(again);
        for (const digest of base.all) assert.ok(again.blobs.path(digest));
        await collect(again, { bases: true });
        for (const digest of base.all) assert.equal(again.blobs.path(digest), undefined);
      });
    }));

  it('only says what it would do when it is a dry run', () =>
    withStore(async store => {
      const { all } = await putImage(store, 'loose');
      store.meta.set('records', digestOf('k'), record(null, '2020-01-01T00:00:00Z'));
      await reopened(store, async again => {
        const report = await collect(again, { dryRun: true, recordsOlderThanMs: 0 });
        assert.equal(report.removed.length, all.length + 1);
        for (const digest of all) assert.ok(again.blobs.path(digest));
        assert.ok(again.meta.get('records', digestOf('k')));
      });
    }));

  it('removes indexes of layers that are gone and keeps the others', () =>
    withStore(async store => {
      const layer = await store.blobs.put('layer');
      store.meta.set('records', digestOf('k'), record(layer));
      mkdirSync(join(store.root, 'layers'));
      for (const name of [`${hexOf(layer)}.idx`, 'gone.idx', 'gone.sparse']) {
        writeFileSync(join(store.root, 'layers', name), '');
      }
      await reopened(store, async again => {
        await collect(again);
        assert.deepEqual(readdirSync(join(again.root, 'layers')), [`${hexOf(layer)}.idx`]);
      });
    }));

  it('spares what was used a moment ago, by whatever process', () =>
    withStore(async store => {
      const digest = await store.blobs.put('old but needed');
      await putTree(store, 'old');
      const path = store.blobs.path(digest) ?? assert.fail();
      const place = join(store.root, 'trees/old');
      await reopened(store, async again => {
        for (const at of [path, place]) utimesSync(at, 1, 1);
        assert.ok(again.blobs.path(digest));
        assert.ok(again.trees.path('old'));
        const options = { dryRun: true, useWindowMs: 60_000 };
        const report = await collectGarbage(again, options);
        assert.deepEqual(report.spared.map(item => item.id).sort(), [digest, 'old'].sort());
        for (const at of [path, place]) utimesSync(at, 1, 1);
        assert.equal((await collectGarbage(again, options)).removed.length, 2);
      });
    }));

  it('spares what a living process wrote or used since it began', () =>
    withStore(async store => {
      const digest = await store.blobs.put('of a build that still runs');
      const other = await openStore(store.root);
      const report = await collect(other);
      assert.deepEqual(
        report.spared.map(item => item.id),
        [digest],
      );
      assert.equal(existsSync(store.blobs.path(digest) ?? ''), true);
      await other.close();
    }));
});
