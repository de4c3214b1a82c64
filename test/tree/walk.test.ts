// Walking directories: what is reported, in which order, and what of overlay's own marks becomes of a layer's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, lchownSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { walkOverlayTree } from '../../src/tree/overlay-tree.ts';
import { walkTree } from '../../src/tree/walk.ts';
import { withTempDir } from '../support/temp-dir.ts';

function setXattr(path: string, name: string, hex: string): void {
  const script =
    'import os,sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]), follow_symlinks=False)';
  const run = spawnSync('python3', ['-c', script, path, name, hex], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
}

function mknod(path: string, ...how: string[]): void {
  assert.equal(spawnSync('mknod', [path, ...how]).status, 0);
}

describe('walkTree', () => {
  it('reports every kind of file with its metadata', async () => {
    await withTempDir(root => {
      mkdirSync(join(root, 'd'));
      chmodSync(join(root, 'd'), 0o3751);
      writeFileSync(join(root, 'd/f'), 'content');
      lchownSync(join(root, 'd/f'), 4294967294, 7);
      chmodSync(join(root, 'd/f'), 0o6755);
      utimesSync(join(root, 'd/f'), 0, 1.5);
      symlinkSync('t\u00e9', join(root, 's'));
      mknod(join(root, 'c'), 'c', '259', '70000');
      mknod(join(root, 'b'), 'b', '8', '1');
      mknod(join(root, 'p'), 'p');
      const [b, c, d, f, p, s] = walkTree(root);
      assert.deepEqual([b?.type, b?.devMajor, b?.devMinor], ['block', 8, 1]);
      assert.deepEqual([c?.type, c?.devMajor, c?.devMinor], ['char', 259, 70000]);
      assert.deepEqual([d?.path, d?.type, d?.mode, d?.size], ['d', 'directory', 0o3751, 0]);
      assert.deepEqual(
        { ...f },
        {
          path: 'd/f',
          type: 'file',
          mode: 0o6755,
          uid: 4294967294,
          gid: 7,
          mtimeSec: 1,
          mtimeNsec: 500_000_000,
          size: 7,
        },
      );
      assert.equal(p?.type, 'fifo');
      assert.deepEqual([s?.type, s?.linkTarget, s?.size], ['symlink', 't\xc3\xa9', 0]);
    });
  });
  it('keeps times before 1970', async () => {
    await withTempDir(root => {
      assert.equal(spawnSync('touch', ['-d', '@-1.25', join(root, 'f')]).status, 0);
      const [entry] = walkTree(root);
      assert.deepEqual([entry?.mtimeSec, entry?.mtimeNsec], [-2, 750_000_000]);
    });
  });
  it('goes in byte order of whole paths, whatever the bytes', async () => {
    await withTempDir(root => {
      const names = ['a', 'a-b', 'a.b', 'a0', 'B', 'z\xff', 'z\xfe', '\xc3\xa9'];
      for (const name of names) mkdirSync(Buffer.from(join(root, name), 'latin1'));
      writeFileSync(join(root, 'a/x'), '');
      const paths = walkTree(root).map(entry => entry.path as string);
      assert.deepEqual(paths, ['B', 'a', 'a-b', 'a.b', 'a/x', 'a0', 'z\xfe', 'z\xff', '\xc3\xa9']);
    });
  });
  it('calls the first name of a file a file and the others hard links to it', async () => {
    await withTempDir(root => {
      mkdirSync(join(root, 'b'));
      writeFileSync(join(root, 'b/1'), 'x');
      linkSync(join(root, 'b/1'), join(root, 'b/2'));
      linkSync(join(root, 'b/1'), join(root, 'b-first'));
      setXattr(join(root, 'b/1'), 'user.a', '31');
      const found = walkTree(root).map(entry => [
        entry.path,
        entry.type,
        entry.linkTarget,
        entry.size,
        entry.xattrs,
      ]);
      assert.deepEqual(found, [
        ['b', 'directory', undefined, 0, undefined],
        ['b-first', 'file', undefined, 1, { 'user.a': '1' }],
        ['b/1', 'hardlink', 'b-first', 0, undefined],
        ['b/2', 'hardlink', 'b-first', 0, undefined],
      ]);
    });
  });
  it('reads attributes byte for byte, and only those that belong to an image', async () => {
    await withTempDir(root => {
      writeFileSync(join(root, 'f'), '');
      setXattr(join(root, 'f'), 'user.bytes', '0080ff');
      setXattr(join(root, 'f'), 'security.capability', '0100000200040000000000000000000000000000');
      setXattr(join(root, 'f'), 'trusted.overlay.origin', '00');
      setXattr(join(root, 'f'), 'trusted.x', '00');
      const [entry] = walkTree(root);
      assert.deepEqual(Object.keys(entry?.xattrs ?? {}).sort(), ['security.capability', 'user.bytes']);
      assert.equal(entry?.xattrs?.['user.bytes'], '\x00\x80\xff');
    });
  });
  it('leaves sockets out', async () => {
    await withTempDir(async root => {
      const server = createServer().listen(join(root, 'socket'));
      await new Promise(resolve => server.once('listening', resolve));
      writeFileSync(join(root, 'f'), '');
      assert.deepEqual(
        walkTree(root).map(entry => entry.path),
        ['f'],
      );
      server.close();
    });
  });
  it('asks what to take, skip and only enter', async () => {
    await withTempDir(root => {
      for (const dir of ['keep/sub', 'drop/sub', 'through/sub'])
        mkdirSync(join(root, dir), { recursive: true });
      writeFileSync(join(root, 'keep/f'), '');
      const asked: string[] = [];
      const entries = walkTree(root, {
        withRoot: true,
        choose: (path, isDirectory) => {
          asked.push(`${path}${isDirectory ? '/' : ''}`);
          return path === 'drop' ? 'skip' : path === 'through' ? 'enter' : 'take';
        },
      });
      assert.deepEqual(
        entries.map(entry => entry.path),
        ['', 'keep', 'keep/f', 'keep/sub', 'through/sub'],
      );
      assert.deepEqual(asked, ['drop/', 'keep/', 'keep/f', 'keep/sub/', 'through/', 'through/sub/']);
    });
  });
  it('follows no link and throws where it may not look', async () => {
    await withTempDir(root => {
      mkdirSync(join(root, 'd'));
      symlinkSync('/', join(root, 'd/out'));
      assert.deepEqual(
        walkTree(root).map(entry => entry.path),
        ['d', 'd/out'],
      );
      assert.throws(() => walkTree(join(root, 'missing')), { code: 'ENOENT' });
    });
  });
});

describe('walkOverlayTree', () => {
  for (const prefix of ['trusted', 'user']) {
    it(`turns overlay's marks into a layer's (${prefix}.overlay)`, async () => {
      await withTempDir(root => {
        mkdirSync(join(root, 'opaque'));
        mkdirSync(join(root, 'plain'));
        mknod(join(root, 'gone'), 'c', '0', '0');
        linkSync(join(root, 'gone'), join(root, 'plain/gone-too'));
        mknod(join(root, 'null'), 'c', '1', '3');
        setXattr(join(root, 'opaque'), `${prefix}.overlay.opaque`, '79');
        setXattr(join(root, 'plain'), `${prefix}.overlay.impure`, '79');
        setXattr(join(root, 'plain'), 'user.kept', '31');
        const found = walkOverlayTree(root).map(({ path, type, opaque, xattrs }) => ({
          path,
          type,
          opaque,
          xattrs,
        }));
        assert.deepEqual(found, [
          { path: 'gone', type: 'whiteout', opaque: undefined, xattrs: undefined },
          { path: 'null', type: 'char', opaque: undefined, xattrs: undefined },
          { path: 'opaque', type: 'directory', opaque: true, xattrs: undefined },
          { path: 'plain', type: 'directory', opaque: undefined, xattrs: { 'user.kept': '1' } },
          { path: 'plain/gone-too', type: 'whiteout', opaque: undefined, xattrs: undefined },
        ]);
      });
    });
  }
  it('reports the root when that is opaque', async () => {
    await withTempDir(root => {
      setXattr(root, 'trusted.overlay.opaque', '79');
      assert.deepEqual(
        walkOverlayTree(root).map(({ path, opaque }) => [path, opaque]),
        [['', true]],
      );
    });
  });
  it('refuses a tree that refers to the layers below it', async () => {
    await withTempDir(root => {
      mkdirSync(join(root, 'moved'));
      setXattr(join(root, 'moved'), 'trusted.overlay.redirect', '2f78');
      assert.throws(
        () => walkOverlayTree(root),
        (error: unknown) =>
          error instanceof BuildError && error.code === 'store' && /moved/.test(error.message),
      );
    });
  });
});
