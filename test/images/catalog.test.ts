// The list of images, what finds one, and what filters leave.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeManifest } from '../../src/image/manifest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parsePlatform } from '../../src/image/platform.ts';
import { digestsOf, isDangling, listLocalImages, tagsOf } from '../../src/images/catalog.ts';
import { filterImages, parseListFilter, parsePruneFilter } from '../../src/images/filter.ts';
import { findImage } from '../../src/images/find.ts';
import { layerSizes } from '../../src/images/sizes.ts';
import { withImages } from './store-images.ts';

const name = (short: string) => `docker.io/library/${short}`;

test('an image is listed once, with its tags and digests, newest first', () =>
  withImages(async ({ store, image }) => {
    const old = await image({ layers: ['a'], created: '2020-01-01T00:00:00Z' });
    const young = await image({ layers: ['b'], created: '2024-01-01T00:00:00Z' });
    await store.names.set(name('old:1'), old);
    await store.names.set(name('old:2'), old);
    await store.names.set(name(`old@${old.digest}`), old, 'registry');
    await store.names.set('reg.example/young:1', young);
    await store.names.keep(await image({ config: { Labels: { n: 'none' } } }));
    const images = await listLocalImages(store);
    assert.deepEqual(images.map(tagsOf), [['reg.example/young:1'], ['old:1', 'old:2'], []]);
    assert.deepEqual(images.map(digestsOf), [[], [`old@${old.digest}`], []]);
    assert.deepEqual(images.map(isDangling), [false, false, true]);
  }));

test('the same image in two packings is one, and has a name when one of them has', () =>
  withImages(async ({ store, image }) => {
    const first = await image({ layers: ['a'] });
    const text = (await store.blobs.read(first.digest))
      .toString()
      .replace('}]}', '}],"annotations":{"a":"b"}}');
    const second = { ...first, digest: await store.blobs.put(text), size: Buffer.byteLength(text) };
    await store.names.set(name('app:1'), first);
    await store.names.set(name('app:1'), second);
    const images = await listLocalImages(store);
    assert.equal(images.length, 1);
    assert.equal(images[0] && isDangling(images[0]), false);
    assert.deepEqual(images[0]?.untagged, [first.digest]);
  }));

test('an index is listed as the platform of this machine, else as one that is here; what is damaged is left out', () =>
  withImages(async ({ store, image }) => {
    const platform = parsePlatform('linux/s390x');
    const child = await image({ layers: ['z'], platform });
    const absent = { ...child, digest: `sha256:${'0'.repeat(64)}` as typeof child.digest };
    const index = encodeManifest({
      kind: 'index',
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...absent, platform: parsePlatform('linux/arm/v5') },
        { ...child, platform },
      ],
      annotations: {},
    });
    const root = { mediaType: mediaTypes.ociIndex, digest: await store.blobs.put(index), size: index.length };
    await store.names.set(name('foreign:1'), root);
    await store.names.set(name('gone:1'), absent);
    const images = await listLocalImages(store);
    assert.deepEqual(images.flatMap(tagsOf), ['foreign:1']);
    assert.equal(images[0]?.config.platform.architecture, 's390x');
  }));

test('names, digests and ids find an image, and what they do not find is told apart from what is wrong', () =>
  withImages(async ({ store, image }) => {
    const descriptor = await image({ layers: ['a'] });
    await store.names.set(name('app:1'), descriptor);
    await store.names.set(name('feed:latest'), await image({ layers: ['b'] }));
    const images = await listLocalImages(store);
    const id = images.find(one => tagsOf(one).includes('app:1'))?.id ?? '';
    for (const text of [
      'app:1',
      'docker.io/app:1',
      id,
      id.slice(7),
      id.slice(0, 30),
      id.slice(7, 20),
      descriptor.digest,
      `app@${descriptor.digest}`,
    ]) {
      assert.equal(findImage(images, text).image.id, id, text);
    }
    assert.equal(findImage(images, 'app:1').name?.name, name('app:1'));
    assert.equal(findImage(images, 'feed').name?.name, name('feed:latest')); // a name before the beginning of an id
    assert.throws(() => findImage(images, 'app'), { code: 'not-found' });
    assert.throws(() => findImage(images, '0'.repeat(64)), { code: 'not-found' });
    assert.throws(() => findImage(images, `app@sha256:${'0'.repeat(64)}`), { code: 'not-found' });
    assert.throws(() => findImage(images, 'a b'), { code: 'usage' });
  }));

test('filters leave what they say', () =>
  withImages(async ({ store, image }) => {
    const label = { Labels: { kind: 'x', other: '' } };
    await store.names.set(
      name('one:1'),
      await image({ layers: ['1'], created: '2021-01-01T00:00:00Z', config: label }),
    );
    await store.names.set(
      name('two:latest'),
      await image({ layers: ['2'], created: '2022-01-01T00:00:00Z' }),
    );
    await store.names.set(
      'reg.example/a/three:1',
      await image({ layers: ['3'], created: '2023-01-01T00:00:00Z' }),
    );
    await store.names.keep(await image({ layers: ['4'], created: '2024-01-01T00:00:00Z' }));
    const images = await listLocalImages(store);
    const now = Date.parse('2024-06-01T00:00:00Z');
    const left = (...filters: string[]) =>
      filterImages(images, parseListFilter(filters, now))
        .map(one => tagsOf(one)[0] ?? '-')
        .sort();
    assert.deepEqual(left(), ['-', 'one:1', 'reg.example/a/three:1', 'two:latest']);
    assert.deepEqual(left('dangling=true'), ['-']);
    assert.deepEqual(left('label=kind'), ['one:1']);
    assert.deepEqual(left('label=kind=x', 'label=other='), ['one:1']);
    assert.deepEqual(left('label=kind=y'), []);
    assert.deepEqual(left('before=two'), ['one:1']);
    assert.deepEqual(left('since=two'), ['-', 'reg.example/a/three:1']);
    assert.deepEqual(left('since=one:1', 'before=reg.example/a/three:1'), ['two:latest']);
    assert.deepEqual(left('reference=t*'), ['two:latest']);
    assert.deepEqual(left('reference=*:1'), ['one:1']);
    assert.deepEqual(left('reference=*/*/three'), ['reg.example/a/three:1']);
    assert.deepEqual(left('reference=one', 'reference=two'), ['one:1', 'two:latest']); // any of them
    assert.deepEqual(left('reference=[m-o]ne'), ['one:1']);
    assert.deepEqual(left('until=2022-06-01T00:00:00Z'), ['one:1', 'two:latest']);
    assert.deepEqual(left('until=10000h'), ['one:1', 'two:latest', 'reg.example/a/three:1'].sort());
    for (const bad of ['dangling=maybe', 'nope=1', 'label', '=x', 'until=soon']) {
      assert.throws(() => left(bad), { code: 'usage' }, bad);
    }
    assert.throws(() => left('before=missing'), { code: 'not-found' });
    const { labels } = parsePruneFilter(['label!=kind=x', 'until=1h'], now);
    assert.deepEqual(
      ([{ kind: 'x' }, { kind: 'y' }, {}] as Record<string, string>[]).map(one =>
        labels.every(passes => passes(one)),
      ),
      [false, true, true],
    );
    assert.throws(() => parsePruneFilter(['dangling=true'], now), { code: 'usage' });
  }));

test('a layer is as large as its files, also when its bytes are no longer here', () =>
  withImages(async ({ store, tools, image }) => {
    await store.names.set(name('app:1'), await image({ layers: ['four', 'seventeen letters'] }));
    const [app] = await listLocalImages(store);
    assert.ok(app);
    assert.deepEqual(await layerSizes(app, tools), [4, 17]);
    for (const diffId of app.config.diffIds) await store.blobs.remove(diffId);
    assert.deepEqual(await layerSizes(app, tools), [4, 17]);
  }));
