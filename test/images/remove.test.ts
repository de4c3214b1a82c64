// Removing and pruning: names first, images with the last one, bytes that nothing else needs.
import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import { test } from 'node:test';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { listLocalImages } from '../../src/images/catalog.ts';
import { chainIds } from '../../src/images/chain.ts';
import { pruneImages } from '../../src/images/prune.ts';
import { freeSpace, removeImage } from '../../src/images/remove.ts';
import { collectGarbage } from '../../src/store/gc.ts';
import type { Store } from '../../src/store/store.ts';
import { withImages } from './store-images.ts';

const name = (short: string) => `docker.io/library/${short}`;

test('the image and the layers that no other has go with the last name', () =>
  withImages(async ({ store, image }) => {
    const app = await image({ layers: ['shared', 'own'] });
    await store.names.set(name('app:1'), app);
    await store.names.set(name('app:2'), app);
    await store.names.set(name('other:1'), await image({ layers: ['shared', 'different'] }));
    assert.deepEqual(await removeImage(store, 'app:1', false), [{ kind: 'untagged', name: 'app:1' }]);
    const images = await listLocalImages(store);
    const own = images.find(one => one.names.some(named => named.name === name('app:2')));
    assert.ok(own);
    assert.deepEqual(await removeImage(store, 'app:2', false), [
      { kind: 'untagged', name: 'app:2' },
      { kind: 'deleted', id: own.id },
      { kind: 'deleted', id: chainIds(own.config.diffIds)[1] },
    ]);
    const [shared, alone] = own.config.diffIds;
    assert.ok(shared && alone);
    age(store, [app.digest, own.id, shared, alone]);
    await freeSpace(store);
    assert.equal(store.blobs.path(alone), undefined);
    assert.equal(store.blobs.path(app.digest), undefined);
    assert.ok(store.blobs.path(shared));
  }));

/** As if nobody had used them for an hour. */
function age(store: Store, digests: readonly Descriptor['digest'][]): void {
  const time = Date.now() / 1000 - 3600;
  for (const digest of digests) {
    const path = store.blobs.path(digest);
    if (path) utimesSync(path, time, time);
  }
}

test('what was used just now is left to the next time, without waiting for it', () =>
  withImages(async ({ store, image }) => {
    const app = await image({ layers: ['new'] });
    await store.names.set(name('app:1'), app);
    await removeImage(store, 'app:1', false);
    assert.equal(await freeSpace(store), 0);
    const { spared } = await collectGarbage(store, { dryRun: true });
    assert.equal(spared.filter(item => item.kind === 'blob').length, 3); // manifest, config, layer
  }));

test('an id that several names stand for is refused, unless forced', () =>
  withImages(async ({ store, image }) => {
    const app = await image({ layers: ['a'] });
    for (const tag of ['app:1', 'app:2']) await store.names.set(name(tag), app);
    const id = (await listLocalImages(store))[0]?.id ?? '';
    await assert.rejects(removeImage(store, id, false), { code: 'usage', hint: /app:1, app:2/ });
    assert.equal(store.names.list().length, 2);
    const removals = await removeImage(store, id.slice(7, 19), true);
    assert.deepEqual(
      removals.map(removal => removal.kind),
      ['untagged', 'untagged', 'deleted', 'deleted'],
    );
    assert.deepEqual(store.names.list(), []);
  }));

test('with the last tag of a repository go the digests it was pulled under from there', () =>
  withImages(async ({ store, image }) => {
    const app = await image({ layers: ['a'] });
    await store.names.set(name('app:1'), app, 'registry');
    await store.names.set(name(`app@${app.digest}`), app, 'registry');
    await store.names.set('reg.example/app:1', app);
    const removals = await removeImage(store, 'app:1', false);
    assert.deepEqual(removals, [
      { kind: 'untagged', name: 'app:1' },
      { kind: 'untagged', name: `app@${app.digest}` },
    ]);
    assert.deepEqual(
      store.names.list().map(named => named.name),
      ['reg.example/app:1'],
    );
  }));

test('the name of an image that cannot be read any more can be taken away', () =>
  withImages(async ({ store, image }) => {
    const app = await image({ layers: ['a'] });
    await store.names.set(name('app:1'), app);
    await store.blobs.remove(app.digest);
    assert.deepEqual(await removeImage(store, 'app:1', false), [{ kind: 'untagged', name: 'app:1' }]);
    await assert.rejects(removeImage(store, 'app:1', false), { code: 'not-found' });
  }));

test('prune removes what has no tag, or everything, within its filters', () =>
  withImages(async ({ store, image }) => {
    const created = '2020-01-01T00:00:00Z';
    await store.names.keep(await image({ layers: ['old'], created }));
    await store.names.keep(await image({ layers: ['young'], created: '2024-01-01T00:00:00Z' }));
    await store.names.set(name('app:1'), await image({ layers: ['named'], created }));
    const left = async () => (await listLocalImages(store)).length;
    const createdBeforeMs = Date.parse('2022-01-01T00:00:00Z');
    await pruneImages(store, { all: false, labels: [], createdBeforeMs, useWindowMs: 0 });
    assert.equal(await left(), 2);
    await pruneImages(store, { all: false, labels: [], useWindowMs: 0 });
    assert.equal(await left(), 1);
    const { removals } = await pruneImages(store, { all: true, labels: [], useWindowMs: 0 });
    assert.deepEqual(removals[0], { kind: 'untagged', name: 'app:1' });
    assert.equal(await left(), 0);
  }));
