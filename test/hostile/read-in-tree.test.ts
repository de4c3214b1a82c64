// Reading and opening in a tree of somebody else's (EX-13, EX-17, EX-18): ordinary files only, no link followed or all
// of them inside, never blocked, bounded.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BuildError, errnoOf } from '../../src/errors.ts';
import type { BytePath } from '../../src/tree/entry.ts';
import {
  openFileInTree,
  openInRoot,
  openInTree,
  openRoot,
  readInTree,
  tryOpenLiteral,
} from '../../src/tree/resolve.ts';
import { inArena } from '../support/canary.ts';

const path = (text: string): BytePath => text as BytePath;

function refused(act: () => unknown, words: RegExp): void {
  assert.throws(
    act,
    (error: unknown) => error instanceof BuildError && error.code === 'hostile' && words.test(error.message),
  );
}

describe('readInTree', () => {
  it(
    'reads a regular file',
    inArena(({ root }) => {
      mkdirSync(join(root, 'etc'));
      writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0');
      assert.equal(readInTree(root, path('etc/passwd')).toString(), 'root:x:0:0');
    }),
  );
  it(
    'refuses links in any component, also to files in the tree',
    inArena(({ root, canary }) => {
      mkdirSync(join(root, 'real'));
      writeFileSync(join(root, 'real/f'), 'x');
      symlinkSync(`${canary}/file`, join(root, 'passwd'));
      symlinkSync(canary, join(root, 'etc'));
      symlinkSync('real', join(root, 'inner'));
      for (const name of ['passwd', 'etc/file', 'inner/f'])
        refused(() => readInTree(root, path(name)), /symlink/);
    }),
  );
  it(
    'refuses fifos, devices and directories without waiting for them',
    inArena(({ root }) => {
      spawnSync('mkfifo', [join(root, 'fifo')]);
      spawnSync('mknod', [join(root, 'zero'), 'c', '1', '5']);
      mkdirSync(join(root, 'dir'));
      for (const name of ['fifo', 'zero', 'dir'])
        refused(() => readInTree(root, path(name)), /not an ordinary file/);
    }),
  );
  it(
    'refuses more than it was told to read',
    inArena(({ root }) => {
      writeFileSync(join(root, 'f'), 'x'.repeat(100));
      assert.equal(readInTree(root, path('f'), 100).length, 100);
      refused(() => readInTree(root, path('f'), 99), /over 99 bytes/);
      truncateSync(join(root, 'f'), 2 ** 40);
      refused(() => readInTree(root, path('f')), /bytes/);
    }),
  );
  it(
    'throws ENOENT for what is not there',
    inArena(({ root }) => {
      assert.throws(
        () => readInTree(root, path('a/b')),
        (error: unknown) => errnoOf(error) === 'ENOENT',
      );
    }),
  );
});

describe('openInTree', () => {
  it(
    'does not follow the last link, nor any other',
    inArena(({ root, canary }) => {
      symlinkSync(`${canary}/file`, join(root, 'a'));
      symlinkSync(canary, join(root, 'b'));
      for (const name of ['a', 'b/file', 'b/sub/inner']) {
        assert.throws(
          () => openInTree(root, path(name)),
          (error: unknown) => ['ELOOP', 'ENOTDIR'].includes(errnoOf(error) ?? ''),
        );
      }
    }),
  );
  it(
    'gives a file whose content is what is in the tree',
    inArena(({ root }) => {
      writeFileSync(Buffer.from(join(root, 'n\xff'), 'latin1'), 'bytes');
      const file = openFileInTree(root, path('n\xff'));
      assert.deepEqual([file.size, readFileSync(file.fd, 'latin1')], [5, 'bytes']);
      file.close();
    }),
  );
});

describe('openInRoot', () => {
  it(
    'follows links as a process would whose root directory it is',
    inArena(({ root, canary, resolver }) => {
      mkdirSync(join(root, 'a/b'), { recursive: true });
      mkdirSync(join(root, canary), { recursive: true });
      writeFileSync(join(root, 'a/b/f'), 'one');
      writeFileSync(join(root, canary, 'file'), 'two');
      const links: [string, string][] = [
        ['abs', '/a/b/f'],
        ['up', '../../../../../a/b/f'],
        ['a/rel', 'b/../b/./f'],
        ['chain', 'a/rel'],
        ['dir', '/a'],
        ['esc', `${canary}/file`],
        ['a/back', '..'],
      ];
      for (const [name, target] of links) symlinkSync(target, join(root, name));
      const rootFd = openRoot(root);
      const read = (name: string): string => {
        const fd = openInRoot(rootFd, name, constants.O_RDONLY, resolver);
        const text = readFileSync(fd, 'utf8');
        closeSync(fd);
        return text;
      };
      for (const name of [
        'abs',
        'up',
        'a/rel',
        'chain',
        'dir/b/f',
        'dir/rel',
        'a/back/a/b/f',
        'a/../a/b/f',
        '../a/b/f',
      ]) {
        assert.equal(read(name), 'one', name);
      }
      assert.equal(read('esc'), 'two');
      closeSync(rootFd);
    }),
  );
  it(
    'says what is wrong as the kernel does',
    inArena(({ root, resolver }) => {
      writeFileSync(join(root, 'f'), '');
      symlinkSync('loop', join(root, 'loop'));
      symlinkSync('/missing', join(root, 'dangling'));
      const rootFd = openRoot(root);
      const fails = (name: string, code: string, flags = constants.O_RDONLY): void =>
        assert.throws(
          () => openInRoot(rootFd, name, flags, resolver),
          (error: unknown) => errnoOf(error) === code,
          name,
        );
      fails('loop', 'ELOOP');
      fails('loop/x', 'ELOOP');
      fails('dangling', 'ENOENT');
      fails('missing/x', 'ENOENT');
      fails('f/x', 'ENOTDIR');
      fails('loop', 'ELOOP', constants.O_RDONLY | constants.O_NOFOLLOW);
      fails('f', 'ENOTDIR', constants.O_RDONLY | constants.O_DIRECTORY);
      closeSync(rootFd);
    }),
  );
  it(
    'opens the root itself, and a literal path by hand as by the kernel',
    inArena(({ root, resolver }) => {
      mkdirSync(join(root, 'a/b'), { recursive: true });
      symlinkSync('a', join(root, 'l'));
      const rootFd = openRoot(root);
      for (const name of ['', '/', '..']) {
        const fd = openInRoot(rootFd, name, constants.O_RDONLY | constants.O_DIRECTORY, resolver);
        assert.equal(fstatSync(fd).ino, fstatSync(rootFd).ino);
        closeSync(fd);
      }
      const fd = tryOpenLiteral(rootFd, 'a/b', constants.O_RDONLY, resolver);
      assert.ok(fd >= 0);
      closeSync(fd);
      for (const name of ['l/b', '../root/a', 'a/../a']) {
        assert.ok(
          tryOpenLiteral(rootFd, name, constants.O_RDONLY | constants.O_NOFOLLOW, resolver) < 0 ||
            name === 'a/../a',
          name,
        );
      }
      closeSync(rootFd);
    }),
  );
});
