// Names that try to leave the root or to replace it (EX-04, EX-05, EX-20; CVE-2020-10696, CVE-2021-29136 and kin).
import assert from 'node:assert/strict';
import { lstatSync } from 'node:fs';
import { describe, it } from 'node:test';
import { inArena } from '../support/canary.ts';
import { directory, file, pax, record, symlink } from '../support/tar-bytes.ts';

describe('extraction of hostile names', () => {
  for (const name of ['../out', 'x/../../out', './../out', 'canary/../../canary/file', '..', 'a/..']) {
    it(
      `refuses ${name}`,
      inArena(({ refuses, list }) => {
        refuses([file('before', 'x'), file(name, 'evil')], 'hostile', /leaves the root/);
        refuses([directory(name)], 'hostile', /leaves the root/);
        refuses([symlink(name, '/')], 'hostile', /leaves the root/);
        assert.deepEqual(list(), { before: 'f' });
      }),
    );
  }
  it(
    'puts absolute names into the root',
    inArena(({ extract, canary, read }) => {
      extract([file(`${canary}/file`, 'inside')]);
      assert.equal(read(`${canary}/file`), 'inside');
    }),
  );
  for (const name of ['', '.', './', '/', '/.', '//']) {
    it(
      `does not let an entry named '${name}' replace the root`,
      inArena(({ refuses, root, canary }) => {
        const before = lstatSync(root).ino;
        refuses([symlink(name, canary)], 'hostile', /replace the root/);
        refuses([file(name, 'x')], 'hostile', /replace the root/);
        assert.equal(lstatSync(root).ino, before);
      }),
    );
  }
  it(
    'gives the root directory the metadata of its own entry and nothing more',
    inArena(({ extract, root }) => {
      const before = lstatSync(root).ino;
      extract([directory('./', { mode: 0o751, mtime: 1000 }), file('f')]);
      const after = lstatSync(root);
      assert.deepEqual([after.ino, after.mode & 0o7777, after.mtimeMs], [before, 0o751, 1_000_000]);
    }),
  );
  it(
    'takes backslashes, colons, control characters and invalid UTF-8 for what they are: bytes',
    inArena(({ extract, list }) => {
      const odd = ['..\\..\\x', 'C:\\x', 'a:b', 'CON', 'new\nline', '\x1b[2J', 'a\xff', 'a\xfe', '-rf'];
      extract(odd.map(name => file(name)));
      assert.deepEqual(Object.keys(list()).sort(), [...odd].sort());
    }),
  );
  it(
    'keeps paths longer than a system call takes, ten thousand directories deep',
    inArena(({ extract, root, resolver }) => {
      // By hand the time grows with the square of the depth.
      const deep = `${'d/'.repeat(resolver === 'kernel' ? 10_000 : 2_100)}f`;
      extract([pax(record('path', deep)), file('f', 'deep')]);
      assert.ok(lstatSync(`${root}/${'d/'.repeat(100)}`).isDirectory());
    }),
  );
});
