// Links made by an archive as parents of later entries (EX-01, EX-02, EX-11; CVE-2014-6407, CVE-2014-9356,
// CVE-2026-42574 and containerd's break-out table): followed, but inside the root.
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inArena } from '../support/canary.ts';
import { directory, file, symlink } from '../support/tar-bytes.ts';

describe('extraction through links in parents', () => {
  it(
    'follows an absolute link inside the root',
    inArena(({ extract, canary, read }) => {
      extract([symlink('a', canary), file('a/file', 'inside')]);
      assert.equal(read(`${canary}/file`), 'inside');
    }),
  );
  for (const target of [
    '../canary',
    '../../../../canary',
    '../'.repeat(100),
    '/..',
    '/../../canary',
    '.././../canary',
  ]) {
    it(
      `ends ${target.slice(0, 30)} at the root`,
      inArena(({ extract, list, read }) => {
        extract([symlink('a', target), file('a/file', 'inside')]);
        const inside = Object.keys(list()).find(path => path.endsWith('file'));
        assert.ok(inside !== undefined);
        assert.equal(read(inside), 'inside');
      }),
    );
  }
  it(
    'follows several hops and links in the middle of a path',
    inArena(({ extract, canary, read, root }) => {
      extract([
        symlink('one', 'two'),
        symlink('two', '/three'),
        symlink('three', `..${canary}`),
        directory('mid'),
        symlink('mid/up', '../one/sub'),
        file('mid/up/inner', 'inside'),
      ]);
      assert.equal(read(`${canary}/sub/inner`), 'inside');
      assert.equal(readlinkSync(join(root, 'mid/up')), '../one/sub');
    }),
  );
  it(
    'follows links that an earlier layer left there, also to the root itself (EX-02)',
    inArena(({ extract, root, canary, read }) => {
      symlinkSync('/', join(root, 'data'));
      symlinkSync(canary, join(root, 'link'));
      extract([file('data/tmp/x', 'one'), file('link/file', 'two')]);
      assert.equal(read('tmp/x'), 'one');
      assert.equal(read(`${canary}/file`), 'two');
    }),
  );
  it(
    'makes directories behind a link in the root only (EX-11)',
    inArena(({ extract, canary, list }) => {
      extract([symlink('ln', canary), directory('ln/a/b/'), file('ln/a/b/c')]);
      assert.equal(list()[`${canary.slice(1)}/a/b/c`], 'f');
    }),
  );
  it(
    'replaces a link in the last place, whatever it leads to',
    inArena(({ extract, canary, read, list }) => {
      extract([symlink('f', `${canary}/file`), file('f', 'inside')]);
      assert.equal(read('f'), 'inside');
      extract([symlink('d', canary), directory('d')]);
      assert.equal(list().d, 'd');
      extract([symlink('e', `${canary}/empty`), file('e')]);
      assert.equal(read('e'), '');
      extract([symlink('s', canary), symlink('s', 'other')]);
      assert.equal(list().s, 'l');
    }),
  );
  it(
    'does not follow a link for owner, mode, time or attributes',
    inArena(({ extract, canary, root }) => {
      extract([symlink('s', `${canary}/file`, { mode: 0o777, uid: 5, gid: 6, mtime: 99 })]);
      const stat = lstatSync(join(root, 's'));
      assert.deepEqual([stat.uid, stat.gid, stat.mtimeMs], [5, 6, 99_000]);
    }),
  );
  it(
    'ends at loops and chains of links with an error (B-16)',
    inArena(({ refuses, extract, read }) => {
      refuses([symlink('a', 'b'), symlink('b', 'a'), file('a/x')], 'integrity', /ELOOP/);
      refuses([symlink('self', 'self'), directory('self/x')], 'integrity', /ELOOP/);
      const chain = Array.from({ length: 45 }, (_, i) => symlink(`c${i}`, `c${i + 1}`));
      refuses([...chain, directory('c45'), file('c0/x')], 'integrity', /ELOOP/);
      extract([...chain, directory('c45'), file('c10/x', 'near')]);
      assert.equal(read('c45/x'), 'near');
    }),
  );
  it(
    'refuses a file as parent',
    inArena(({ refuses }) =>
      refuses([file('f', 'x'), file('f/g', 'y')], 'integrity', /ENOTDIR|not a directory/),
    ),
  );
  it(
    'ends at /proc/self links in the root, which are ordinary names there',
    inArena(({ extract, root }) => {
      extract([
        symlink('fd', '/proc/self/fd/0'),
        file('fd/x', 'y'),
        symlink('cwd', '/proc/self/cwd'),
        file('cwd/leak', 'z'),
      ]);
      assert.deepEqual(readdirSync(join(root, 'proc/self/cwd')), ['leak']);
    }),
  );
});
