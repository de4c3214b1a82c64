import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { opaquePath, readMarker, refuseMarkerName, whiteoutPath } from '../../src/layer/whiteout.ts';
import type { BytePath } from '../../src/tree/entry.ts';

const cases: [string, ReturnType<typeof readMarker>][] = [
  ['a', undefined],
  ['a.wh.b', undefined],
  ['a/b.wh.', undefined],
  ['.wh.a', { kind: 'whiteout', path: 'a' as BytePath }],
  ['d/e/.wh.a', { kind: 'whiteout', path: 'd/e/a' as BytePath }],
  ['.wh..hidden', { kind: 'whiteout', path: '.hidden' as BytePath }],
  ['.wh....', { kind: 'whiteout', path: '...' as BytePath }],
  ['.wh..wh..opq', { kind: 'opaque', path: '' as BytePath }],
  ['d/.wh..wh..opq', { kind: 'opaque', path: 'd' as BytePath }],
  ['.wh..wh.plnk', { kind: 'private' }],
  ['.wh..wh.plnk/12.34', { kind: 'private' }],
  ['.wh..wh.aufs', { kind: 'private' }],
];

describe('reading a whiteout name', () => {
  for (const [path, expected] of cases) {
    it(`takes ${path} for ${JSON.stringify(expected) ?? 'an ordinary file'}`, () => {
      assert.deepEqual(readMarker(path as BytePath), expected);
    });
  }
  for (const path of ['.wh.', '.wh..', '.wh...', 'd/.wh.', 'd/.wh..', '.wh.d/x', 'a/.wh.d/x/y']) {
    it(`refuses ${path}`, () => {
      assert.throws(
        () => readMarker(path as BytePath),
        (e: unknown) => e instanceof BuildError && e.code === 'hostile',
      );
    });
  }
});

describe('writing a whiteout name', () => {
  it('puts the marker beside what it hides', () => {
    for (const path of ['a', 'd/a', 'd/.a', '...'] as BytePath[]) {
      assert.deepEqual(readMarker(whiteoutPath(path)), { kind: 'whiteout', path });
    }
    for (const path of ['', 'd', 'd/e'] as BytePath[]) {
      assert.deepEqual(readMarker(opaquePath(path)), { kind: 'opaque', path });
    }
  });

  it('refuses a real file that would read as one', () => {
    for (const path of ['.wh.x', 'd/.wh.x', '.wh.d/file', '.wh..wh..opq'] as BytePath[]) {
      assert.throws(() => refuseMarkerName(path), /names that begin with \.wh\. mean deleted files/);
    }
    refuseMarkerName('a.wh.b/c' as BytePath);
  });
});
