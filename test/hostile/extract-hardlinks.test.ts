// Hard links (EX-01, EX-06, EX-10, B-15; CVE-2021-32760, CVE-2026-50163 and containerd's break-out table).
import assert from 'node:assert/strict';
import { linkSync, lstatSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inArena } from '../support/canary.ts';
import { directory, file, hardlink, symlink } from '../support/tar-bytes.ts';

const missing = /hard link to .* is not in the archive/;

describe('extraction of hard links', () => {
  it(
    'refuses targets outside, however they are written',
    inArena(({ refuses, canary }) => {
      refuses([hardlink('h', '../canary/file')], 'hostile', /leaves the root/);
      refuses([hardlink('h', `${canary}/file`)], 'integrity', missing);
      refuses([symlink('s', canary), hardlink('h', 's/file')], 'integrity', missing);
      refuses([symlink('s', '../../canary'), hardlink('h', 's/file')], 'integrity', missing);
      refuses(
        [symlink('a', 'b/..'), symlink('b', canary), hardlink('h', 'a/canary/file')],
        'integrity',
        missing,
      );
    }),
  );
  it(
    'looks for the target in the root, not in the working directory (EX-10)',
    inArena(({ refuses, list }) => {
      refuses([hardlink('leak', 'package.json')], 'integrity', missing);
      assert.deepEqual(list(), {});
    }),
  );
  it(
    'makes a second name of a symlink, and follows it for nothing (EX-06)',
    inArena(({ extract, canary, root }) => {
      extract([
        symlink('s', `${canary}/file`),
        hardlink('h', 's', { mode: 0o777, uid: 7, gid: 7, mtime: 5 }),
        hardlink('early', 's'),
      ]);
      assert.equal(readlinkSync(join(root, 'h')), `${canary}/file`);
      assert.equal(lstatSync(join(root, 'h')).ino, lstatSync(join(root, 's')).ino);
    }),
  );
  it(
    'breaks a link before it writes: the other name keeps its content',
    inArena(({ extract, read, root, canary }) => {
      extract([file('a', 'one'), hardlink('b', 'a'), file('b', 'two')]);
      assert.deepEqual([read('a'), read('b')], ['one', 'two']);
      // A name of the canary's own file, left by somebody: writing to it must not write to the canary.
      writeFileSync(join(root, 'mine'), 'mine');
      linkSync(join(root, 'mine'), join(root, 'other'));
      symlinkSync(join(canary, 'empty'), join(root, 'through'));
      extract([file('other', 'x'), file('through', 'y')]);
      assert.deepEqual([read('mine'), read('other'), read('through')], ['mine', 'x', 'y']);
    }),
  );
  it(
    'refuses a directory, itself, and what is not there (yet)',
    inArena(({ refuses }) => {
      refuses([directory('d'), hardlink('h', 'd')], 'integrity', /is a directory/);
      refuses([hardlink('h', 'h')], 'integrity', /names itself/);
      refuses([hardlink('h', 'later'), file('later')], 'integrity', missing);
      refuses([file('f'), hardlink('h', 'f/x')], 'integrity', missing);
      refuses([symlink('loop', 'loop'), hardlink('h', 'loop/x')], 'integrity', missing);
    }),
  );
  it(
    'does not lose a file that is linked to itself through another path',
    inArena(({ extract, read }) => {
      extract([directory('d'), file('d/f', 'kept'), symlink('e', 'd'), hardlink('e/f', 'd/f')]);
      assert.equal(read('d/f'), 'kept');
    }),
  );
  it(
    'refuses the target that a whiteout of the same layer hides, in overlay format',
    inArena(({ refuses }) => {
      refuses([file('.wh.f'), hardlink('h', 'f')], 'integrity', missing, { whiteouts: 'overlay' });
    }),
  );
  it(
    'links chains of links, all to one file',
    inArena(({ extract, root }) => {
      extract([file('a', 'x'), hardlink('b', 'a'), hardlink('c', 'b'), hardlink('d', '/c')]);
      const inodes = ['a', 'b', 'c', 'd'].map(name => lstatSync(join(root, name)).ino);
      assert.equal(new Set(inodes).size, 1);
    }),
  );
});
