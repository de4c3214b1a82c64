// What every Store promises, whatever it keeps its things in.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import type { Store } from '../../src/store/store.ts';
import { withTempDir } from '../support/temp-dir.ts';

const name = 'docker.io/library/app:latest';

/** @param open opens (and makes) the store that lives at `root` */
export function storeContract(what: string, open: (root: string) => Promise<Store>): void {
  const withStore = (work: (store: Store) => Promise<void>) =>
    withTempDir(async dir => {
      const store = await open(join(dir, 'store'));
      try {
        await work(store);
      } finally {
        await store.close();
      }
    });
  describe(`${what} as a store`, () => {
    blobs(withStore);
    trees(withStore);
    facts(withStore);
    names(withStore, open);
  });
}

type WithStore = (work: (store: Store) => Promise<void>) => Promise<void>;

function blobs(withStore: WithStore): void {
  it('gives back the bytes of a blob by their digest', () =>
    withStore(async store => {
      const digest = await store.blobs.put('hello');
      assert.equal(digest, digestOf('hello'));
      assert.equal((await store.blobs.read(digest)).toString(), 'hello');
      assert.equal(store.blobs.size(digest), 5);
      assert.equal(readFileSync(store.blobs.path(digest) ?? '', 'utf8'), 'hello');
    }));

  it('knows nothing of a blob before it is committed, nor of one that was given up', () =>
    withStore(async store => {
      const digest = digestOf('later');
      const ingest = await store.blobs.ingest();
      writeFileSync(ingest.path, 'later');
      assert.equal(store.blobs.path(digest), undefined);
      await ingest[Symbol.asyncDispose]();
      assert.equal(existsSync(ingest.path), false);
      assert.equal(store.blobs.path(digest), undefined);
      await assert.rejects(store.blobs.read(digest), { code: 'not-found' });
    }));

  it('keeps a blob that two writers bring at the same time once', () =>
    withStore(async store => {
      const [a, b] = [await store.blobs.ingest(), await store.blobs.ingest()];
      assert.notEqual(a.path, b.path);
      writeFileSync(a.path, 'same');
      writeFileSync(b.path, 'same');
      await Promise.all([a.commit(digestOf('same')), b.commit(digestOf('same'))]);
      assert.equal((await store.blobs.read(digestOf('same'))).toString(), 'same');
      assert.equal(existsSync(a.path) || existsSync(b.path), false);
    }));

  it('refuses to hand out a damaged blob, and takes a whole one in its place', () =>
    withStore(async store => {
      const digest = await store.blobs.put('precious');
      for (const damage of ['preciouS', '', 'precious and more']) {
        writeFileSync(store.blobs.path(digest) ?? '', damage);
        await assert.rejects(store.blobs.read(digest), { code: 'store' });
        await store.blobs.put('precious');
        assert.equal((await store.blobs.read(digest)).toString(), 'precious', `after "${damage}"`);
      }
    }));

  it('does not read more of a blob than it was allowed to', () =>
    withStore(async store => {
      const digest = await store.blobs.put('0123456789');
      await assert.rejects(store.blobs.read(digest, 9), BuildError);
      assert.equal((await store.blobs.read(digest, 10)).length, 10);
    }));

  it('removes a blob, and does not mind when it is gone', () =>
    withStore(async store => {
      const digest = await store.blobs.put('x');
      await store.blobs.remove(digest);
      await store.blobs.remove(digest);
      assert.equal(store.blobs.path(digest), undefined);
    }));
}

function trees(withStore: WithStore): void {
  it('shows a tree only when it is complete, without the helper directories', () =>
    withStore(async store => {
      const ingest = await store.trees.begin();
      writeFileSync(join(ingest.fs, 'file'), 'content');
      mkdirSync(join(ingest.dir, 'work'));
      assert.equal(store.trees.path('one'), undefined);
      const path = await ingest.commit('one');
      assert.equal(store.trees.path('one'), path);
      assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'content');
      assert.equal(existsSync(join(path, '..', 'work')), false);
      assert.equal(existsSync(ingest.dir), false);
    }));

  it('gives the root of a tree mode 0755 whatever the umask', () =>
    withStore(async store => {
      const before = process.umask(0o077);
      try {
        const path = await (await store.trees.begin()).commit('mode');
        assert.equal(statSync(path).mode & 0o7777, 0o755);
      } finally {
        process.umask(before);
      }
    }));

  it('keeps the first of two equal trees', () =>
    withStore(async store => {
      const [a, b] = [await store.trees.begin(), await store.trees.begin()];
      writeFileSync(join(a.fs, 'first'), '');
      await a.commit('same');
      const path = await b.commit('same');
      assert.equal(existsSync(join(path, 'first')), true);
      assert.equal(existsSync(b.dir), false);
    }));

  it('removes trees that were given up or are not wanted any more', () =>
    withStore(async store => {
      const given = await store.trees.begin();
      await given[Symbol.asyncDispose]();
      assert.equal(existsSync(given.dir), false);
      const path = await (await store.trees.begin()).commit('gone');
      await store.trees.remove('gone');
      await store.trees.remove('gone');
      assert.equal(existsSync(path), false);
      assert.equal(store.trees.path('gone'), undefined);
    }));

  it('takes no tree id that could be a path', () =>
    withStore(async store => {
      for (const id of ['', '.', '..', 'a/b', '../x', 'A', 'a\0']) {
        assert.throws(() => store.trees.path(id), BuildError, JSON.stringify(id));
      }
    }));
}

function facts(withStore: WithStore): void {
  it('shows a fact at once and still after a flush', () =>
    withStore(async store => {
      store.meta.set('misc', 'k', { a: [1, 'ü'] });
      assert.deepEqual(store.meta.get('misc', 'k'), { a: [1, 'ü'] });
      await store.meta.flush();
      assert.deepEqual(store.meta.get('misc', 'k'), { a: [1, 'ü'] });
      store.meta.delete('misc', 'k');
      assert.equal(store.meta.get('misc', 'k'), undefined);
      await store.meta.flush();
      assert.equal(store.meta.get('misc', 'k'), undefined);
    }));

  it('lists facts in byte order by prefix, written a moment ago or long before, and keeps spaces apart', () =>
    withStore(async store => {
      for (const key of ['b', 'a2', 'a1', 'a', 'ä']) store.meta.set('misc', key, key);
      store.meta.set('records', 'a3', 'elsewhere');
      await store.meta.flush();
      store.meta.set('misc', 'a15', 'fresh');
      store.meta.delete('misc', 'a2');
      assert.deepEqual(
        [...store.meta.entries('misc')].map(([key]) => key),
        ['a', 'a1', 'a15', 'b', 'ä'],
      );
      assert.deepEqual(
        [...store.meta.entries('misc', 'a1')],
        [
          ['a1', 'a1'],
          ['a15', 'fresh'],
        ],
      );
    }));
}

function names(withStore: WithStore, open: (root: string) => Promise<Store>): void {
  const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf('m'), size: 1 };

  it('remembers what a name stands for until it is deleted', () =>
    withStore(async store => {
      await store.names.set(name, descriptor);
      assert.deepEqual(store.names.get(name)?.descriptor, descriptor);
      await store.names.set(name, { ...descriptor, digest: digestOf('n') });
      assert.equal(store.names.get(name)?.descriptor.digest, digestOf('n'));
      assert.deepEqual(
        store.names.list().map(named => named.name),
        [name],
      );
      assert.equal(await store.names.delete(name), true);
      assert.equal(await store.names.delete(name), false);
      assert.equal(store.names.get(name), undefined);
      assert.deepEqual(store.names.list(), []);
    }));

  it('keeps an image without a name when its name goes to another one, until it is named or dropped', () =>
    withStore(async store => {
      const digests = () => store.names.untagged().map(image => image.descriptor.digest);
      const other = { ...descriptor, digest: digestOf('n') };
      await store.names.set(name, descriptor);
      await store.names.set(name, other, 'file');
      assert.deepEqual(digests(), [descriptor.digest]);
      assert.equal(store.names.get(name)?.from, 'file');
      await store.names.set('docker.io/library/old:1', descriptor);
      assert.deepEqual(digests(), []);
      await store.names.keep(other); // has a name
      assert.deepEqual(digests(), []);
      await store.names.delete('docker.io/library/old:1');
      await store.names.keep(descriptor);
      assert.deepEqual(digests(), [descriptor.digest]);
      assert.equal(await store.names.drop(descriptor.digest), true);
      assert.deepEqual(digests(), []);
    }));

  it('finds everything again when it is opened anew', () =>
    withTempDir(async dir => {
      const root = join(dir, 'store');
      const first = await open(root);
      const digest = await first.blobs.put('kept');
      await (await first.trees.begin()).commit('kept');
      first.meta.set('misc', 'kept', true);
      await first.names.set(name, descriptor);
      await first.close();
      const second = await open(root);
      assert.equal((await second.blobs.read(digest)).toString(), 'kept');
      assert.ok(second.trees.path('kept'));
      assert.equal(second.meta.get('misc', 'kept'), true);
      assert.deepEqual(second.names.get(name)?.descriptor, descriptor);
      await second.close();
    }));
}
