import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tarMarker } from '../../src/archive/marker.ts';
import { opaquePath, refuseMarkerName, whiteoutPath } from '../../src/layer/whiteout.ts';
import type { BytePath } from '../../src/tree/entry.ts';

describe('a whiteout name', () => {
  it('stands beside what it hides, where the reader finds it', () => {
    for (const [path, parent, name] of [
      ['a', '', 'a'],
      ['d/a', 'd', 'a'],
      ['d/e/.a', 'd/e', '.a'],
      ['...', '', '...'],
    ] as const) {
      assert.deepEqual(tarMarker(whiteoutPath(path as BytePath)), { kind: 'whiteout', parent, name });
    }
    for (const parent of ['', 'd', 'd/e']) {
      assert.deepEqual(tarMarker(opaquePath(parent as BytePath)), { kind: 'opaque', parent });
    }
  });

  it('is refused for a real file, since it would delete instead', () => {
    for (const path of ['.wh.x', 'd/.wh.x', '.wh.d/file', '.wh..wh..opq']) {
      assert.throws(
        () => refuseMarkerName(path as BytePath),
        /names that begin with \.wh\. mean deleted files/,
      );
    }
    refuseMarkerName('a.wh.b/c' as BytePath);
  });
});
