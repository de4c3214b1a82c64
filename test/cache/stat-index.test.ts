import assert from 'node:assert/strict';
import { lstatSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openStatIndex } from '../../src/cache/stat-index.ts';
import { digestOf } from '../../src/image/digest.ts';
import { openStore } from '../../src/store/open.ts';
import type { Meta } from '../../src/store/store.ts';
import type { FileStamp } from '../../src/tree/stat-index.ts';
import { withTempDir } from '../support/temp-dir.ts';

const second = 1_000_000_000n;
const now = 1_700_000_000n * second;

function stamp(change: Partial<FileStamp> = {}): FileStamp {
  const old = now - 100n * second;
  return { dev: 1n, ino: 2n, size: 3n, mtimeNs: old, ctimeNs: old, ...change };
}

function withMeta(work: (meta: Meta, dir: string) => void): Promise<void> {
  return withTempDir(async dir => {
    const store = await openStore(join(dir, 'store'));
    try {
      work(store.meta, dir);
    } finally {
      await store.close();
    }
  });
}

const open = (meta: Meta, scope = '/context') => openStatIndex(meta, scope, () => now);

describe('the stat index', () => {
  it('knows an unchanged file in the next run, and in the same one', () =>
    withMeta(meta => {
      const first = open(meta);
      assert.equal(first.lookup(stamp()), undefined);
      first.remember(stamp(), digestOf('x'));
      assert.equal(first.lookup(stamp()), digestOf('x'));
      first.save();
      assert.equal(open(meta).lookup(stamp()), digestOf('x'));
      assert.equal(open(meta, '/another').lookup(stamp()), undefined);
    }));

  it('does not know a file of which anything changed', () =>
    withMeta(meta => {
      const first = open(meta);
      first.remember(stamp(), digestOf('x'));
      first.save();
      const changes: Partial<FileStamp>[] = [
        { dev: 9n },
        { ino: 9n },
        { size: 9n },
        { mtimeNs: stamp().mtimeNs + 1n },
        { ctimeNs: stamp().ctimeNs + 1n },
      ];
      for (const change of changes) assert.equal(open(meta).lookup(stamp(change)), undefined);
    }));

  it('does not trust a file that changed at the time it was read', () =>
    withMeta(meta => {
      for (const field of ['mtimeNs', 'ctimeNs'] as const) {
        for (const at of [now - second, now, now + 10n * second]) {
          const first = open(meta);
          first.remember(stamp({ [field]: at }), digestOf('x'));
          first.save();
          assert.equal(open(meta).lookup(stamp({ [field]: at })), undefined, `${field} ${at}`);
        }
      }
    }));

  it('keeps many files in any order and forgets those that are not asked for any more', () =>
    withMeta(meta => {
      const files = Array.from({ length: 500 }, (_, i) => stamp({ ino: BigInt(i) }));
      const first = open(meta);
      for (const file of files) first.remember(file, digestOf(String(file.ino)));
      first.save();
      const second = open(meta);
      for (const file of files.toReversed()) {
        assert.equal(second.lookup(file), digestOf(String(file.ino)));
        assert.equal(second.lookup(file), digestOf(String(file.ino)));
      }
      second.save();
      const third = open(meta);
      for (const file of files.slice(100, 200)) assert.ok(third.lookup(file));
      third.save();
      const last = open(meta);
      assert.equal(files.filter(file => last.lookup(file)).length, 100);
    }));

  it('takes new files in between the known ones', () =>
    withMeta(meta => {
      const first = open(meta);
      for (const ino of [1n, 3n]) first.remember(stamp({ ino }), digestOf(String(ino)));
      first.save();
      const next = open(meta);
      assert.ok(next.lookup(stamp({ ino: 1n })));
      assert.equal(next.lookup(stamp({ ino: 2n })), undefined);
      next.remember(stamp({ ino: 2n }), digestOf('2'));
      assert.ok(next.lookup(stamp({ ino: 3n })));
      next.save();
      const last = open(meta);
      for (const ino of [1n, 2n, 3n]) assert.equal(last.lookup(stamp({ ino })), digestOf(String(ino)));
    }));

  it('counts a damaged value as no knowledge', () =>
    withMeta(meta => {
      for (const value of [1, 'AAAA', null, { a: 1 }, '////']) {
        meta.set('stat', '/context', value);
        assert.equal(open(meta).lookup(stamp()), undefined);
      }
    }));

  it('works on what the kernel says, very large numbers included', () =>
    withMeta((meta, dir) => {
      const path = join(dir, 'file');
      writeFileSync(path, 'x');
      utimesSync(path, 1, 1);
      const real = lstatSync(path, { bigint: true });
      const huge = stamp({ ino: 2n ** 64n - 1n, dev: 2n ** 63n });
      const later = () => real.ctimeNs + 10n * second;
      const first = openStatIndex(meta, '/context', later);
      first.remember(real, digestOf('real'));
      first.remember(huge, digestOf('huge'));
      first.save();
      const next = openStatIndex(meta, '/context', later);
      assert.equal(next.lookup(lstatSync(path, { bigint: true })), digestOf('real'));
      assert.equal(next.lookup(huge), digestOf('huge'));
    }));
});

describe('a stat index that is not asked for every file', () => {
  const stamps = Array.from({ length: 10 }, (_, i) => stamp({ ino: BigInt(i + 1) }));
  const fill = (meta: Meta) => {
    const index = open(meta);
    for (const each of stamps) index.remember(each, digestOf(String(each.ino)));
    index.save();
  };
  const known = (meta: Meta) => {
    const index = open(meta);
    return stamps.filter(each => index.lookup(each) !== undefined).length;
  };

  it('stays as it is when it is asked for none', () =>
    withMeta(meta => {
      fill(meta);
      const index = open(meta);
      index.passOver(10);
      index.save();
      assert.equal(known(meta), 10);
    }));

  it('keeps what was passed over when it learns something new', () =>
    withMeta(meta => {
      fill(meta);
      const index = open(meta);
      index.passOver(10);
      index.lookup(stamp({ ino: 50n }));
      index.remember(stamp({ ino: 50n }), digestOf('new'));
      index.save();
      assert.equal(known(meta), 10);
      assert.equal(open(meta).lookup(stamp({ ino: 50n })), digestOf('new'));
    }));

  it('forgets files that are gone when every file that was passed over was asked for after all', () =>
    withMeta(meta => {
      fill(meta);
      const index = open(meta);
      index.passOver(4);
      for (const each of stamps.slice(0, 4)) index.lookup(each);
      index.save();
      assert.equal(known(meta), 4);
    }));

  it('forgets everything else when most of it must be of files that are gone', () =>
    withMeta(meta => {
      fill(meta);
      const index = open(meta);
      index.passOver(4);
      for (const each of stamps.slice(0, 2)) index.lookup(each);
      index.save();
      assert.equal(known(meta), 2);
    }));
});
