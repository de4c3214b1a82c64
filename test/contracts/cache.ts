// What every place for step results promises.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CacheKey, cacheKey } from '../../src/cache/key.ts';
import type { Records, StepRecord } from '../../src/cache/records.ts';
import { digestOf } from '../../src/image/digest.ts';

export const record: StepRecord = {
  layer: digestOf('layer'),
  createdAt: '2026-01-02T03:04:05.678Z',
  durationMs: 12,
  display: 'RUN true',
  parts: [{ name: 'argv', value: 'true' }],
};

export const keyOf = (name: string): CacheKey => cacheKey([{ name: 'test', value: name }]);

/** @param withRecords gives fresh, empty records */
export function recordsContract(
  what: string,
  withRecords: (work: (records: Records) => Promise<void>) => Promise<void>,
): void {
  describe(`${what} as records`, () => {
    it('give back what was put under a key and nothing under another', () =>
      withRecords(async records => {
        assert.equal(records.get(keyOf('a')), undefined);
        records.put(keyOf('a'), record);
        assert.deepEqual(records.get(keyOf('a')), record);
        assert.equal(records.get(keyOf('b')), undefined);
      }));

    it('remember that a step changed nothing', () =>
      withRecords(async records => {
        records.put(keyOf('a'), { ...record, layer: null });
        assert.equal(records.get(keyOf('a'))?.layer, null);
      }));

    it('follow an alias to the record as it is now, and only while there is one', () =>
      withRecords(async records => {
        records.alias(keyOf('fast'), keyOf('a'));
        assert.equal(records.get(keyOf('fast')), undefined);
        records.put(keyOf('a'), record);
        assert.deepEqual(records.get(keyOf('fast')), record);
        records.put(keyOf('a'), { ...record, durationMs: 99 });
        assert.equal(records.get(keyOf('fast'))?.durationMs, 99);
        records.delete(keyOf('a'));
        assert.equal(records.get(keyOf('fast')), undefined);
      }));

    it('do not go round in a circle of aliases', () =>
      withRecords(async records => {
        records.alias(keyOf('a'), keyOf('b'));
        records.alias(keyOf('b'), keyOf('a'));
        assert.equal(records.get(keyOf('a')), undefined);
      }));

    it('list records and no aliases', () =>
      withRecords(async records => {
        records.put(keyOf('a'), record);
        records.put(keyOf('b'), record);
        records.alias(keyOf('c'), keyOf('a'));
        assert.deepEqual(
          [...records.entries()].map(([key]) => key),
          [keyOf('a'), keyOf('b')].sort(),
        );
      }));
  });
}
