// Subordinate ids and the maps made of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idMap, mapArguments, parseSubordinateIds, rootlessOf } from '../../src/host/ids.ts';

test('ranges are those of the user, by name or id, and of nobody else', () => {
  const text = 'other:1:1\nbuilder:100000:65536\n1000:200000:10\n\nbuilder:300000:1\n';
  assert.deepEqual(parseSubordinateIds(text, ['builder', '1000']), [
    [100000, 65536],
    [200000, 10],
    [300000, 1],
  ]);
});

test('lines that make no sense are passed over', () => {
  const text = 'u:x:1\nu:1\nu:1:0\nu:1:2:3\nu:4294967295:1\nu:-1:5\nu:7:1';
  assert.deepEqual(parseSubordinateIds(text, ['u']), [[7, 1]]);
});

test('the user is root inside and its subordinate ids follow without a gap', () => {
  const map = idMap(1000, [
    [100000, 65536],
    [300000, 1],
  ]);
  assert.deepEqual(mapArguments(map), ['0', '1000', '1', '1', '100000', '65536', '65537', '300000', '1']);
});

test('only a mark of the right form makes a process rootless', () => {
  assert.deepEqual(rootlessOf({ _SLIPWAY_ROOTLESS: '1000:full' }), { uid: 1000, ids: 'full' });
  assert.deepEqual(rootlessOf({ _SLIPWAY_ROOTLESS: '1000:single' }), { uid: 1000, ids: 'single' });
  for (const value of [undefined, '', '1000', 'x:full', '1000:all']) {
    assert.equal(rootlessOf({ _SLIPWAY_ROOTLESS: value }), undefined);
  }
});
