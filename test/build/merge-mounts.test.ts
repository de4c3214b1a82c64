// What a set of cache mounts becomes when several builds write it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergeMounts, mountLayer } from '../../src/build/cache-mounts/artifact.ts';
import { digestOf } from '../../src/image/digest.ts';

/** `a=1` is mount a with content 1. */
const mounts = (text: string) =>
  text
    .split(' ')
    .filter(Boolean)
    .map(each => {
      const [id = '', content = ''] = each.split('=');
      const digest = digestOf(content);
      return mountLayer(id, digest, { digest, size: content.length }, 'uncompressed');
    });

describe('mergeMounts', () => {
  const cases: [what: string, before: string, there: string, own: string, merged: string | undefined][] = [
    ['adds to nothing', '', '', 'a=1', 'a=1'],
    ['keeps what others have there', 'b=1', 'b=1 c=1', 'a=1', 'b=1 c=1 a=1'],
    ['replaces what was there before', 'a=1 b=1', 'a=1 b=1', 'a=2', 'a=2 b=1'],
    ['has nothing to do when its mounts are there', 'a=1', 'a=2 b=1', 'a=2', undefined],
    ['writes again what another writer took back', 'a=1', 'a=1 b=1', 'a=2', 'a=2 b=1'],
    ['leaves what another writer changed meanwhile', 'a=1', 'a=3', 'a=2', undefined],
    ['leaves what another writer added meanwhile', '', 'a=3', 'a=2 b=2', 'a=3 b=2'],
  ];
  for (const [what, before, there, own, merged] of cases) {
    it(what, () => {
      const found = mergeMounts(mounts(before), mounts(there), mounts(own));
      assert.deepEqual(found, merged === undefined ? undefined : mounts(merged));
    });
  }
});
