// From a registry into a store and on to another registry.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { BuildEvent } from '../../src/events.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { encodeManifest } from '../../src/image/manifest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parseReference } from '../../src/image/reference.ts';
import { mountCandidates, originsOf, pullImage, registryBlobSource } from '../../src/registry/pull.ts';
import { pushStored } from '../../src/registry/push-stored.ts';
import { openStore } from '../../src/store/open.ts';
import { addImage, MemoryRegistry } from '../support/memory-registry.ts';
import { amd64, never, testRegistries } from '../support/registries.ts';

async function setUp() {
  const registry = await new MemoryRegistry().start();
  const registries = testRegistries();
  const dir = mkdtempSync(join(tmpdir(), 'slipway-pull-'));
  const store = await openStore(join(dir, 'store'));
  return {
    registry,
    registries,
    store,
    pull: (name: string) =>
      pullImage(registries, store, parseReference(`${registry.host}/${name}`), amd64, never),
    gets: (digest: string) =>
      registry.log.filter(line => line.startsWith('GET') && line.endsWith(digest)).length,
    async [Symbol.asyncDispose]() {
      await store.close();
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
    },
  };
}

const layerBytes = Buffer.alloc(300_000, 'layer');

describe('a pushed image', () => {
  it('is mounted by the next repository of the registry, not sent again', async () => {
    await using t = await setUp();
    const { store } = t;
    const config = JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [] } });
    const describe = async (mediaType: string, bytes: string | Buffer): Promise<Descriptor> => ({
      mediaType,
      digest: await store.blobs.put(bytes),
      size: Buffer.byteLength(bytes),
    });
    const manifest = encodeManifest({
      kind: 'manifest',
      mediaType: mediaTypes.ociManifest,
      config: await describe(mediaTypes.ociConfig, config),
      layers: [await describe(mediaTypes.ociLayerTar, layerBytes)],
      annotations: {},
    });
    const root = await describe(mediaTypes.ociManifest, manifest);
    const source = registryBlobSource(t.registries, store);
    for (const name of ['one', 'two']) {
      const reference = parseReference(`${t.registry.host}/${name}:1`);
      await pushStored(t.registries, store, source, root, [reference], never);
    }
    const second = t.registry.seen.filter(({ url }) => url.startsWith('/v2/two/blobs/uploads'));
    assert.equal(second.length, 2);
    for (const { method, url } of second) assert.match(`${method} ${url}`, /^POST .*from=one/);
  });
});

describe('a pulled image', () => {
  it('brings its manifest and config at once, its layers when they are read', async () => {
    await using t = await setUp();
    const { layers } = addImage(t.registry, 'app', '1', { layers: [layerBytes] });
    const image = await t.pull('app:1');
    assert.deepEqual(await t.store.blobs.read(image.descriptor.digest), image.manifestBytes);
    assert.deepEqual(await t.store.blobs.read(image.manifest.config.digest), image.configBytes);
    const [layer] = image.manifest.layers;
    assert.ok(layer && layers[0]);
    assert.equal(t.store.blobs.path(layer.digest), undefined);
    const events: BuildEvent[] = [];
    await registryBlobSource(t.registries, t.store, event => events.push(event), 'pull').fetch(layer, never);
    assert.ok(readFileSync(t.store.blobs.path(layer.digest) ?? '').equals(layerBytes));
    const last = events.at(-1);
    assert.ok(last?.kind === 'progress');
    assert.deepEqual(
      [last.id, last.item, last.current, last.total],
      ['pull', layer.digest, 300_000, 300_000],
    );
  });

  it('is fetched by a later process, which knows only what the store remembers', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1', { layers: [layerBytes] });
    const [layer] = (await t.pull('app:1')).manifest.layers;
    assert.ok(layer);
    await using later = testRegistries();
    await registryBlobSource(later, t.store).fetch(layer, never);
    assert.ok(t.store.blobs.path(layer.digest));
  });

  it('of which many read a layer at once fetches it once', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1', { layers: [layerBytes] });
    const [layer] = (await t.pull('app:1')).manifest.layers;
    assert.ok(layer);
    const source = registryBlobSource(t.registries, t.store);
    await Promise.all(Array.from({ length: 10 }, () => source.fetch(layer, never)));
    await source.fetch(layer, never);
    assert.equal(t.gets(layer.digest), 1);
  });

  it('is still fetched for the others when the one who asked first gives up', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1', { layers: [layerBytes] });
    const [layer] = (await t.pull('app:1')).manifest.layers;
    assert.ok(layer);
    const first = new AbortController();
    t.registry.script({ path: /blobs/, times: 1 }, async x => {
      first.abort(new Error('enough'));
      await new Promise(resolve => setTimeout(resolve, 30));
      await x.honest();
    });
    const source = registryBlobSource(t.registries, t.store);
    const [one, two] = await Promise.allSettled([
      source.fetch(layer, first.signal),
      source.fetch(layer, never),
    ]);
    assert.equal(one.status, 'rejected');
    assert.equal(two.status, 'fulfilled');
    assert.equal(t.gets(layer.digest), 1);
  });

  it('whose layer is damaged leaves nothing behind, and can be fetched when it is whole again', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1', { layers: [layerBytes] });
    const [layer] = (await t.pull('app:1')).manifest.layers;
    assert.ok(layer);
    const source = registryBlobSource(t.registries, t.store);
    t.registry.script({ path: /blobs/, times: 1 }, x => x.answer(200, {}, Buffer.alloc(300_000)));
    await assert.rejects(source.fetch(layer, never), { code: 'integrity' });
    assert.equal(t.store.blobs.path(layer.digest), undefined);
    const left = readdirSync(join(t.store.root, 'ingest'), { recursive: true, withFileTypes: true });
    assert.ok(
      left.every(entry => !entry.isFile() || statSync(join(entry.parentPath, entry.name)).size < 1000),
      'no data',
    );
    await source.fetch(layer, never);
    assert.ok(t.store.blobs.path(layer.digest));
  });

  it('that lies in several repositories is fetched from one that still has it', async () => {
    await using t = await setUp();
    addImage(t.registry, 'old/app', '1', { layers: [layerBytes] });
    addImage(t.registry, 'new/app', '1', { layers: [layerBytes] });
    await t.pull('old/app:1');
    const [layer] = (await t.pull('new/app:1')).manifest.layers;
    assert.ok(layer);
    const { host } = t.registry;
    assert.deepEqual(originsOf(t.store, layer.digest), [`${host}/new/app`, `${host}/old/app`]);
    assert.deepEqual(mountCandidates(t.store, layer.digest, host), ['new/app', 'old/app']);
    assert.deepEqual(mountCandidates(t.store, layer.digest, 'other.test'), []);
    t.registry.links.delete(`new/app@${layer.digest}`);
    await registryBlobSource(t.registries, t.store).fetch(layer, never);
    assert.equal(createHash('sha256').update(layerBytes).digest('hex'), layer.digest.slice(7));
    assert.ok(t.store.blobs.path(layer.digest));
  });

  it('that nobody is known to have is an error', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1');
    const image = await t.registries.resolve(parseReference(`${t.registry.host}/app:1`), amd64, never);
    const [layer] = image.manifest.layers;
    assert.ok(layer);
    await assert.rejects(registryBlobSource(t.registries, t.store).fetch(layer, never), {
      code: 'not-found',
    });
  });
});
