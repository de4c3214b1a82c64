import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { makePrivateDir, makeTempDir, removeTree, writeFileAtomically } from '../../src/host/temp.ts';
import { withTempDir } from '../support/temp-dir.ts';

describe('removing a tree', () => {
  it('takes names of any bytes, closed directories and links, and leaves what links lead to', () =>
    withTempDir(async dir => {
      const tree = join(dir, 'tree');
      mkdirSync(join(tree, 'closed/inner'), { recursive: true });
      writeFileSync(join(tree, 'closed/inner/file'), '');
      mkdirSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]));
      writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x2f, 0xe9])]), '');
      writeFileSync(join(dir, 'outside'), 'keep me');
      mkdirSync(join(dir, 'elsewhere'));
      writeFileSync(join(dir, 'elsewhere/file'), '');
      symlinkSync('../outside', join(tree, 'link'));
      symlinkSync('../elsewhere', join(tree, 'dirlink'));
      chmodSync(join(tree, 'closed/inner'), 0);
      chmodSync(join(tree, 'closed'), 0o500);
      await removeTree(tree);
      assert.equal(existsSync(tree), false);
      assert.equal(readFileSync(join(dir, 'outside'), 'utf8'), 'keep me');
      assert.deepEqual(readdirSync(join(dir, 'elsewhere')), ['file']);
      await removeTree(tree);
    }));
});

describe('a private directory', () => {
  it('is nobody else’s whatever the umask, with its parents; an existing one is left as it is', () =>
    withTempDir(async dir => {
      mkdirSync(join(dir, 'open'), { mode: 0o755 });
      for (const umask of [0, 0o777]) {
        const before = process.umask(umask);
        try {
          makePrivateDir(join(dir, 'open', `a${umask}`, 'b'));
        } finally {
          process.umask(before);
        }
        assert.equal(statSync(join(dir, 'open', `a${umask}`)).mode & 0o7777, 0o700);
        assert.equal(statSync(join(dir, 'open', `a${umask}`, 'b')).mode & 0o7777, 0o700);
      }
      makePrivateDir(join(dir, 'open'));
      assert.equal(statSync(join(dir, 'open')).mode & 0o777, 0o755);
    }));

  it('that is temporary is gone at the end of its block', () =>
    withTempDir(async dir => {
      let path: string;
      {
        await using temporary = await makeTempDir(dir, 'x-');
        path = temporary.path;
        writeFileSync(join(path, 'file'), '');
      }
      assert.equal(existsSync(path), false);
    }));
});

describe('writing a file atomically', () => {
  it('replaces it with the mode asked for, or leaves it and nothing else', () =>
    withTempDir(dir => {
      const path = join(dir, 'file');
      const before = process.umask(0o077);
      try {
        writeFileAtomically(path, 'one', 0o644);
      } finally {
        process.umask(before);
      }
      assert.equal(statSync(path).mode & 0o777, 0o644);
      writeFileAtomically(path, 'two', 0o600);
      assert.equal(readFileSync(path, 'utf8'), 'two');
      mkdirSync(join(dir, 'taken'));
      writeFileSync(join(dir, 'taken/x'), '');
      assert.throws(() => writeFileAtomically(join(dir, 'taken'), 'x', 0o600));
      assert.deepEqual(readdirSync(dir).sort(), ['file', 'taken']);
    }));
});
