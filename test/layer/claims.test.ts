// What a build cache says about layers: believed until the bytes are read, never above what is known better.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { BuildError } from '../../src/errors.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { Layers } from '../../src/layer/layers.ts';
import { openLayers } from '../../src/layer/store-layers.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import { Remote, signal } from '../support/layers-fixture.ts';

const tar = Buffer.alloc(10_240);
const diffId = digestOf(tar);
const good = gzipSync(tar);
const wrong = gzipSync(Buffer.alloc(20_480));
const packing = { compression: 'gzip', format: 'oci' } as const;

interface Bench {
  readonly layers: Layers;
  readonly remote: Remote;
  readonly store: Store;
  /** The same store in another process. */
  again(): Layers;
}

async function withLayers(work: (bench: Bench) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-claims-'));
  const store = await openStore(join(dir, 'store'));
  try {
    const remote = new Remote();
    remote.store = store;
    const again = () => openLayers(store, remote);
    await work({ layers: again(), remote, store, again });
  } finally {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const isDamaged = (digest: string) => (error: unknown) => {
  assert.ok(error instanceof BuildError);
  assert.equal(error.facts.damaged, digest);
  assert.match(error.message, /a layer of a build cache cannot be used/);
  return true;
};

describe('a claim about a layer', () => {
  it('makes it one that can be had, and fetches nothing until bytes are needed', () =>
    withLayers(async ({ layers, remote }) => {
      const blob = remote.offer(good);
      assert.equal(layers.claim('tree:made-elsewhere', diffId, blob), true);
      assert.ok(layers.has('tree:made-elsewhere') && layers.has(diffId));
      assert.equal(await layers.diffId('tree:made-elsewhere', signal), diffId);
      assert.deepEqual(await layers.blob('tree:made-elsewhere', { ...packing, lazy: true }, signal), blob);
      assert.equal(remote.fetched.length, 0);
      assert.equal((await layers.index('tree:made-elsewhere', signal)).entries.length, 0);
      assert.deepEqual(remote.fetched, [blob.digest]);
    }));

  it('is not believed against what is known here', () =>
    withLayers(async ({ layers, remote }) => {
      const blob = remote.offer(wrong);
      assert.equal(layers.claim(diffId, digestOf('other'), blob), false, 'a diffId is its own name');
      layers.claim('tree:a', diffId, remote.offer(good));
      assert.equal(layers.claim('tree:a', digestOf('other'), blob), false);
    }));

  it('goes behind what an image said, whoever spoke first', () =>
    withLayers(async ({ layers, remote, again }) => {
      const lie = remote.offer(wrong);
      const truth = remote.offer(good);
      layers.claim(diffId, diffId, lie);
      layers.adopt(diffId, truth);
      for (const each of [layers, again()]) {
        assert.deepEqual(await each.blob(diffId, { ...packing, lazy: true }, signal), truth);
      }
      await layers.index(diffId, signal);
      assert.deepEqual(remote.fetched, [truth.digest]);
    }));

  it('that is a lie is forgotten, also when a whole blob was asked for', () =>
    withLayers(async ({ layers, remote, again }) => {
      const lie = remote.offer(wrong);
      layers.claim('tree:a', diffId, lie);
      await assert.rejects(layers.blob('tree:a', packing, signal), isDamaged(lie.digest));
      assert.equal(layers.has('tree:a'), false);
      assert.equal(again().has(diffId), false);
      assert.equal(layers.claim('tree:a', diffId, lie), false, 'not twice in one build');
      assert.equal(layers.claim('tree:a', diffId, remote.offer(good)), true);
      assert.equal((await layers.tar('tree:a', signal)).size, tar.length);
    }));

  it('is forgotten with all others when nobody answers', () =>
    withLayers(async ({ layers, remote }) => {
      const [one, two] = [digestOf('1'), digestOf('2')];
      const descriptor = (digest: typeof one) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest,
        size: 9,
      });
      layers.claim(diffId, diffId, descriptor(one));
      layers.claim('tree:b', digestOf('b'), descriptor(two));
      await assert.rejects(layers.index(diffId, signal), isDamaged(one));
      assert.ok(!layers.has(diffId) && !layers.has('tree:b'));
      assert.equal(layers.claim('tree:b', digestOf('b'), descriptor(two)), false);
      assert.equal(remote.fetched.length, 1);
    }));

  it('that was right is one still: when the bytes are gone here and there, the layer is made again', () =>
    withLayers(async ({ layers, remote, store }) => {
      const blob = remote.offer(good);
      layers.claim(diffId, diffId, blob);
      await layers.index(diffId, signal, 'names');
      await store.blobs.remove(blob.digest);
      remote.blobs.clear();
      await assert.rejects(layers.tar(diffId, signal), isDamaged(blob.digest));
      assert.equal(layers.has(diffId), false);
    }));
});
