// What hardening must not break (EX-08): the four shapes of real images that go-archive's fixes refused in turn, and a
// round trip of a whole tree.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Extractor } from '../../src/archive/extract.ts';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { TarWriter } from '../../src/archive/tar-writer.ts';
import { walkTree } from '../../src/tree/walk.ts';
import { inArena } from '../support/canary.ts';
import { archive, directory, file, hardlink, header, symlink } from '../support/tar-bytes.ts';
import { withTempDir } from '../support/temp-dir.ts';

describe('extraction of what real images have', () => {
  it(
    'a hard link whose target is absolute, as kaniko writes it',
    inArena(({ extract, root }) => {
      extract([directory('usr/bin'), file('usr/bin/x', 'program'), hardlink('bin', '/usr/bin/x')]);
      assert.equal(lstatSync(join(root, 'bin')).ino, lstatSync(join(root, 'usr/bin/x')).ino);
    }),
  );
  it(
    'a file below var/run, which is a link to /run',
    inArena(({ extract, root }) => {
      extract([
        directory('run'),
        directory('var'),
        symlink('var/run', '/run'),
        file('var/run/pid', '1'),
        directory('var/run/lock'),
      ]);
      assert.equal(readFileSync(join(root, 'run/pid'), 'utf8'), '1');
      assert.equal(readlinkSync(join(root, 'var/run')), '/run');
      assert.ok(lstatSync(join(root, 'run/lock')).isDirectory());
    }),
  );
  it(
    'an entry whose parents have none, or only later',
    inArena(({ root, resolver }) => {
      const extractor = new Extractor(root, { whiteouts: 'overlay', resolver });
      const reader = new TarReader(extractor);
      reader.push(archive(file('a/b/f', 'x'), directory('a', { mode: 0o700, mtime: 9 })));
      reader.finish();
      assert.deepEqual(extractor.impliedDirectories, ['a', 'a/b']);
      const [later, implied] = ['a', 'a/b'].map(path => lstatSync(join(root, path)));
      assert.deepEqual([later?.mode, later?.mtimeMs], [0o40700, 9000]);
      assert.deepEqual([implied?.mode, implied?.mtimeMs, implied?.uid], [0o40755, 0, 0]);
    }),
  );
  it(
    'a parent behind a dangling link',
    inArena(({ extract, root }) => {
      extract([symlink('opt', 'srv/opt'), file('opt/x', 'y')]);
      assert.equal(readFileSync(join(root, 'srv/opt/x'), 'utf8'), 'y');
    }),
  );
  it('a device where devices do not work (nodev)', async () => {
    await withTempDir(dir => {
      const mount = join(dir, 'nodev');
      mkdirSync(mount);
      const script = `mount -t tmpfs -o nodev tmpfs "$1" && cd "$1" && "$2" --input-type=module -e "$3" && stat -c %F:%t:%T "$1/null"`;
      const code = `import { Extractor } from '${new URL('../../src/archive/extract.js', import.meta.url)}';
        const x = new Extractor('.', { whiteouts: 'apply' });
        x.entry({ path: 'null', type: 'char', mode: 0o666, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size: 0, devMajor: 1, devMinor: 3 });
        x.finish();`;
      const run = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', mount, process.execPath, code], {
        encoding: 'utf8',
      });
      assert.equal(run.stdout.trim(), 'character special file:1:3', run.stderr);
    });
  });
  it('anything that a tree can hold, there and back', async () => {
    await withTempDir(dir => {
      const [from, to] = [join(dir, 'from'), join(dir, 'to')];
      mkdirSync(to);
      mkdirSync(join(from, 'd/e'), { recursive: true });
      writeFileSync(Buffer.from(join(from, 'd/a\xff'), 'latin1'), 'bytes');
      writeFileSync(join(from, 'd/e/large'), Buffer.alloc(300_000, 7), { mode: 0o751 });
      linkSync(join(from, 'd/e/large'), join(from, 'again'));
      symlinkSync('nowhere', join(from, 'd/s'));
      spawnSync('mkfifo', [join(from, 'fifo')]);
      const extractor = new Extractor(to, { whiteouts: 'literal' });
      const reader = new TarReader(extractor);
      const writer = new TarWriter(chunk => reader.push(chunk));
      for (const entry of walkTree(from)) {
        writer.entry(entry);
        if (entry.size > 0) writer.data(readFileSync(Buffer.from(join(from, entry.path), 'latin1')));
      }
      writer.finish();
      reader.finish();
      const whole = (root: string) => walkTree(root).map(entry => ({ ...entry, mtimeNsec: 0 }));
      assert.deepEqual(whole(to), whole(from));
      assert.equal(spawnSync('diff', ['-r', '--no-dereference', '--exclude=fifo', from, to]).status, 0);
    });
  });
  it(
    "a char device that is none of overlay's",
    inArena(({ extract, list }) => {
      extract([header({ name: 'null', type: '3', major: 1, minor: 3 })], { whiteouts: 'overlay' });
      assert.deepEqual(list(), { null: 'c' });
    }),
  );
});
