import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openRecords } from '../../src/cache/records.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import { keyOf, record, recordsContract } from '../contracts/cache.ts';
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

recordsContract('the database', work => withStore(store => work(openRecords(store.meta))));

describe('a record that is not one', () => {
  const broken: [string, unknown][] = [
    ['null', null],
    ['text', 'x'],
    ['an empty object', {}],
    ['a layer that is a path', { ...record, layer: 'tree:../../etc' }],
    ['a digest in upper case', { ...record, layer: `sha256:${'A'.repeat(64)}` }],
    ['no layer at all', { ...record, layer: undefined }],
    ['a time that is none', { ...record, createdAt: 'yesterday' }],
    ['parts that are none', { ...record, parts: [{ name: 1 }] }],
    ['a duration in words', { ...record, durationMs: 'long' }],
    ['an alias to a path', { alias: '../x' }],
  ];
  for (const [what, value] of broken) {
    it(`counts as a miss: ${what}`, () =>
      withStore(async store => {
        store.meta.set('records', keyOf('a'), value);
        assert.equal(openRecords(store.meta).get(keyOf('a')), undefined);
        assert.deepEqual([...openRecords(store.meta).entries()], []);
      }));
  }
});
