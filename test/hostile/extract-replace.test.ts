// Entries that replace what earlier ones made (EX-07's quiet form, NP-01; containerd's break-out table): directories by
// links and back, in the middle of an archive that goes on using the path.
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inArena } from '../support/canary.ts';
import { directory, file, hardlink, header, symlink } from '../support/tar-bytes.ts';

describe('extraction that replaces', () => {
  it(
    'a directory by a link: later entries go where the link leads, in the root',
    inArena(({ extract, canary, list }) => {
      extract([directory('d'), file('d/one'), symlink('d', canary), file('d/two')]);
      const found = list();
      assert.equal(found.d, 'l');
      assert.equal(found[`${canary.slice(1)}/two`], 'f');
      assert.equal(found['d/one'], undefined);
    }),
  );
  it(
    'a link by a directory: later entries are in the directory',
    inArena(({ extract, canary, list }) => {
      extract([symlink('d', canary), file('d/one'), directory('d'), file('d/two')]);
      assert.equal(list()['d/two'], 'f');
    }),
  );
  it(
    'directory, link, directory, with a descriptor of the first one open all the while',
    inArena(({ extract, canary, list }) => {
      extract([
        directory('a'),
        directory('a/b'),
        file('a/b/1'),
        symlink('a', canary),
        file('a/b/2'),
        directory('a'),
        file('a/b/3'),
        symlink('a/b', canary),
        file('a/b/4'),
      ]);
      const found = list();
      assert.equal(found['a/b'], 'l');
      assert.equal(found[`${canary.slice(1)}/b/2`], 'f');
      assert.equal(found[`${canary.slice(1)}/4`], 'f');
    }),
  );
  it(
    'the metadata of a directory is not given to what a link in its place leads to',
    inArena(({ extract, root, canary }) => {
      extract([
        directory('target', { mode: 0o700 }),
        directory('d', { mode: 0o755 }),
        directory('d/sub', { mode: 0o777, uid: 9 }),
        directory('target/sub', { mode: 0o711 }),
        symlink('d', 'target'),
        directory('x', { mode: 0o777 }),
        symlink('x', canary),
      ]);
      assert.equal(lstatSync(join(root, 'target/sub')).mode & 0o7777, 0o711);
      assert.equal(lstatSync(join(root, 'target/sub')).uid, 0);
      assert.equal(lstatSync(join(root, 'target')).mode & 0o7777, 0o700);
    }),
  );
  it(
    'a directory that is not empty by a file, and a file by a directory',
    inArena(({ extract, list }) => {
      extract([
        directory('d'),
        file('d/e/f'),
        file('d', 'now a file'),
        file('g', 'x'),
        directory('g'),
        file('g/h'),
      ]);
      assert.deepEqual(list(), { d: 'f', g: 'd', 'g/h': 'f' });
    }),
  );
  it(
    'a directory below a link, without following links in what is removed',
    inArena(({ extract, root, canary, list }) => {
      mkdirSync(join(root, 'd/e'), { recursive: true });
      symlinkSync(canary, join(root, 'd/e/out'));
      writeFileSync(join(root, 'd/e/f'), 'x', { mode: 0 });
      extract([symlink('d', canary)]);
      assert.deepEqual(list(), { d: 'l' });
    }),
  );
  it(
    'types in every order, the last one counts',
    inArena(({ extract, list }) => {
      const kinds = [
        () => file('x', 'content'),
        () => directory('x'),
        () => symlink('x', 'y'),
        () => header({ name: 'x', type: '6' }),
        () => hardlink('x', 'other'),
        () => header({ name: 'x', type: '3', major: 1, minor: 3 }),
      ];
      const letters = ['f', 'd', 'l', 'p', 'f', 'c'];
      for (const [i, first] of kinds.entries()) {
        for (const [j, second] of kinds.entries()) {
          extract([file('other'), first(), second()]);
          assert.equal(list().x, letters[j], `${letters[i]} then ${letters[j]}`);
        }
      }
    }),
  );
  it(
    'keeps a directory that comes again, with the later metadata',
    inArena(({ extract, root, list }) => {
      extract([directory('d', { mode: 0o700 }), file('d/f'), directory('d', { mode: 0o711, mtime: 7 })]);
      assert.deepEqual(list(), { d: 'd', 'd/f': 'f' });
      const stat = lstatSync(join(root, 'd'));
      assert.deepEqual([stat.mode & 0o7777, stat.mtimeMs], [0o711, 7000]);
    }),
  );
});
