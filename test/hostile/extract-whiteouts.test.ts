// Whiteouts, honest and hostile (containerd's break-out table, CX-11).
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { getXattr } from '../../src/host/fs-calls.ts';
import { type Arena, inArena } from '../support/canary.ts';
import { directory, file, header, symlink } from '../support/tar-bytes.ts';

/** Something that earlier layers left. */
function fill({ root, canary }: Arena): void {
  mkdirSync(join(root, 'd/e'), { recursive: true });
  for (const name of ['f', 'd/f', 'd/e/f']) writeFileSync(join(root, name), 'below');
  symlinkSync(canary, join(root, 'out'));
}

const isWhiteout = (path: string): boolean =>
  lstatSync(path).isCharacterDevice() && lstatSync(path).rdev === 0;

describe('whiteouts that are applied', () => {
  it(
    'remove a file, a whole directory, and a link without what it leads to',
    inArena(arena => {
      fill(arena);
      arena.extract([file('.wh.f'), file('d/.wh.e'), file('.wh.out'), file('.wh.missing')]);
      assert.deepEqual(arena.list(), { d: 'd', 'd/f': 'f' });
    }),
  );
  it(
    'act in the root when a link leads there',
    inArena(arena => {
      fill(arena);
      arena.extract([file('out/.wh.file'), file('out/sub/.wh..wh..opq')]);
    }),
  );
  it(
    'spare what the same layer made, before or after them',
    inArena(arena => {
      fill(arena);
      arena.extract([
        file('f', 'new'),
        file('.wh.f'),
        file('d/e/new'),
        file('d/.wh.e'),
        directory('x'),
        file('.wh.x'),
        file('x/y'),
      ]);
      assert.deepEqual(arena.list(), {
        d: 'd',
        'd/e': 'd',
        'd/e/new': 'f',
        'd/f': 'f',
        f: 'f',
        out: 'l',
        x: 'd',
        'x/y': 'f',
      });
      assert.equal(arena.read('f'), 'new');
    }),
  );
  for (const order of ['before', 'after']) {
    it(
      `empty an opaque directory of what was below, ${order} its new content`,
      inArena(arena => {
        fill(arena);
        const parts = [file('d/new'), file('d/.wh..wh..opq')];
        arena.extract(order === 'after' ? parts : parts.reverse());
        assert.deepEqual(Object.keys(arena.list()), ['d', 'd/new', 'f', 'out']);
      }),
    );
  }
  it(
    'empty the root when that is opaque',
    inArena(arena => {
      fill(arena);
      arena.extract([file('new'), file('.wh..wh..opq')]);
      assert.deepEqual(arena.list(), { new: 'f' });
    }),
  );
  it(
    'go by their name, whatever the type of the entry',
    inArena(arena => {
      fill(arena);
      arena.extract([directory('.wh.d/'), symlink('.wh.f', 'x')]);
      assert.deepEqual(arena.list(), { out: 'l' });
    }),
  );
  it(
    'skip what aufs left',
    inArena(arena => {
      arena.extract([directory('.wh..wh.plnk'), file('.wh..wh.plnk/1.2'), file('.wh..wh.aufs'), file('a')]);
      assert.deepEqual(arena.list(), { a: 'f' });
    }),
  );
});

describe('malformed whiteouts', () => {
  for (const name of ['.wh.', '.wh..', '.wh...', 'd/.wh.', 'd/.wh..', 'd/.wh...', '.wh.d/e', 'd/.wh.e/f']) {
    it(
      `are refused: ${name}`,
      inArena(arena => {
        fill(arena);
        const before = arena.list();
        for (const whiteouts of ['apply', 'overlay', 'refuse'] as const) {
          arena.refuses([file(name)], 'hostile', /malformed whiteout/, { whiteouts });
        }
        assert.deepEqual(arena.list(), before);
      }),
    );
  }
  it(
    'are refused with .. in their path',
    inArena(arena => arena.refuses([file('d/../.wh.x')], 'hostile', /leaves the root/)),
  );
  it(
    'are ordinary names where whiteouts mean nothing, and an error where none may be',
    inArena(arena => {
      arena.extract([file('.wh.x'), file('.wh.'), directory('.wh.d'), file('.wh.d/y')], {
        whiteouts: 'literal',
      });
      assert.deepEqual(Object.keys(arena.list()), ['.wh.', '.wh.d', '.wh.d/y', '.wh.x']);
      arena.refuses([file('.wh.x')], 'hostile', /whiteout where none may be/, { whiteouts: 'refuse' });
    }),
  );
});

describe('whiteouts in overlay format', () => {
  const overlay = { whiteouts: 'overlay' } as const;
  it(
    'become devices 0:0 and an attribute',
    inArena(({ extract, root, list }) => {
      extract([file('.wh.a'), file('d/.wh.b'), file('d/.wh..wh..opq'), file('d/c')], overlay);
      assert.deepEqual(list(), { a: 'c', d: 'd', 'd/b': 'c', 'd/c': 'f' });
      assert.ok(isWhiteout(join(root, 'a')));
      assert.ok(isWhiteout(join(root, 'd/b')));
      assert.equal(getXattr(join(root, 'd'), 'trusted.overlay.opaque'), 'y');
    }),
  );
  it(
    'make a directory of the same name opaque, in either order',
    inArena(({ extract, root }) => {
      extract([file('.wh.a'), directory('a'), directory('b'), file('.wh.b'), directory('c')], overlay);
      assert.equal(getXattr(join(root, 'a'), 'trusted.overlay.opaque'), 'y');
      assert.equal(getXattr(join(root, 'b'), 'trusted.overlay.opaque'), 'y');
      assert.equal(getXattr(join(root, 'c'), 'trusted.overlay.opaque'), undefined);
    }),
  );
  it(
    'leave a file of the same name alone, in either order',
    inArena(({ extract, read }) => {
      extract([file('.wh.a'), file('a', 'one'), file('b', 'two'), file('.wh.b')], overlay);
      assert.deepEqual([read('a'), read('b')], ['one', 'two']);
    }),
  );
  it(
    'cannot be smuggled in as devices',
    inArena(({ refuses }) => {
      refuses([header({ name: 'etc', type: '3', major: 0, minor: 0 })], 'hostile', /device 0:0/, overlay);
    }),
  );
});
