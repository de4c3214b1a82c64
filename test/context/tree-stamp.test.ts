// A stamp stands for a directory only as long as nothing in it changed, whatever it was that changed.
import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DirectoryTree, openDirectory } from '../../src/context/dir.ts';
import { parseIgnore } from '../../src/context/ignore.ts';
import { withoutIgnored } from '../../src/context/ignored-tree.ts';
import { type BytePath, bytePath } from '../../src/tree/entry.ts';
import type { StatIndex } from '../../src/tree/stat-index.ts';
import { withTempDir } from '../support/temp-dir.ts';

const noIndex: StatIndex = {
  lookup: () => undefined,
  remember: () => undefined,
  passOver: () => undefined,
  save: () => undefined,
};

/** As if ten seconds went by since the last change. */
const later = () => Date.now() + 10_000;
const open = (root: string, nowMs = later): DirectoryTree =>
  openDirectory(root, { statIndex: noIndex, nowMs });
const all = '' as BytePath;

function fill(root: string): void {
  mkdirSync(join(root, 'sub/deep'), { recursive: true });
  mkdirSync(join(root, 'empty'));
  writeFileSync(join(root, 'file'), 'one');
  writeFileSync(join(root, 'sub/deep/file'), 'two');
  writeFileSync(join(root, 'sub/caf\u00e9'), 'three');
  symlinkSync('file', join(root, 'link'));
  for (const name of ['file', 'sub/deep/file', 'sub/caf\u00e9'])
    utimesSync(join(root, name), 1_600_000_000, 1_600_000_000);
}

/** Content of the same length, with the times that it had. */
function rewrite(path: string): void {
  const { atime, mtime } = statSync(path);
  writeFileSync(path, 'x'.repeat(statSync(path).size));
  utimesSync(path, atime, mtime);
}

const changes: Record<string, (root: string) => void> = {
  'content, with size and modification time as before': root => rewrite(join(root, 'sub/deep/file')),
  'content of a file whose name is not ASCII': root => rewrite(join(root, 'sub/caf\u00e9')),
  size: root => writeFileSync(join(root, 'file'), 'longer'),
  'mode of a file': root => chmodSync(join(root, 'file'), 0o755),
  'mode of a directory': root => chmodSync(join(root, 'sub/deep'), 0o700),
  'mode of the directory itself': root => chmodSync(root, 0o711),
  'a new file': root => writeFileSync(join(root, 'sub/new'), ''),
  'a new directory': root => mkdirSync(join(root, 'sub/new')),
  'a removed file': root => rmSync(join(root, 'sub/deep/file')),
  'a removed directory': root => rmdirSync(join(root, 'empty')),
  'another name': root => renameSync(join(root, 'file'), join(root, 'fole')),
  'another place': root => renameSync(join(root, 'file'), join(root, 'sub/file')),
  'two files that change places': root => {
    renameSync(join(root, 'file'), join(root, 'x'));
    renameSync(join(root, 'sub/deep/file'), join(root, 'file'));
    renameSync(join(root, 'x'), join(root, 'sub/deep/file'));
  },
  'a link that leads elsewhere': root => {
    rmSync(join(root, 'link'));
    symlinkSync('foul', join(root, 'link'));
  },
  'a link in place of a file': root => {
    rmSync(join(root, 'file'));
    symlinkSync('sub', join(root, 'file'));
  },
  'a second name of a file': root => linkSync(join(root, 'file'), join(root, 'sub/second')),
};

for (const [name, change] of Object.entries(changes)) {
  test(`another stamp: ${name}`, () =>
    withTempDir(root => {
      fill(root);
      const before = open(root).stamp?.(all);
      assert.ok(before);
      change(root);
      const after = open(root).stamp?.(all);
      assert.ok(after);
      assert.notEqual(after, before);
    }));
}

test('the same stamp: nothing changed, files were read, something came and went', () =>
  withTempDir(root => {
    fill(root);
    const before = open(root).stamp?.(all);
    readFileSync(join(root, 'file'));
    writeFileSync(join(root, 'sub/temporary'), '');
    rmSync(join(root, 'sub/temporary'));
    assert.equal(open(root).stamp?.(all), before);
  }));

test('no stamp while a file is so young that it could change again unnoticed', () =>
  withTempDir(root => {
    fill(root);
    assert.equal(open(root, Date.now).stamp?.(all), undefined);
    assert.equal(open(root, Date.now).stamp?.(bytePath('file')), undefined);
    writeFileSync(join(root, 'sub/deep/file'), 'now');
    utimesSync(join(root, 'sub/deep/file'), 1, 1);
    const soon = () => Date.now() + 1000;
    assert.equal(open(root, soon).stamp?.(all), undefined, 'the change time counts');
  }));

test('what an ignore file leaves out does not count; the ignore file does', () =>
  withTempDir(root => {
    fill(root);
    const stamp = (ignore: string) =>
      withoutIgnored(open(root), parseIgnore({ name: '.dockerignore', text: ignore })).stamp?.(all);
    const before = stamp('sub\n');
    assert.ok(before);
    rewrite(join(root, 'sub/deep/file'));
    writeFileSync(join(root, 'sub/new'), '');
    assert.equal(stamp('sub\n'), before);
    assert.notEqual(stamp('sub\n\n#\nempty\n'), before);
    const back = stamp('sub\n!sub/deep\n');
    rewrite(join(root, 'sub/deep/file'));
    assert.notEqual(stamp('sub\n!sub/deep\n'), back, 'what is taken back in');
    rewrite(join(root, 'file'));
    assert.notEqual(stamp('sub\n'), before);
  }));

const behindTheBack: Record<string, (tree: DirectoryTree, root: string) => void> = {
  'a file that was looked up': (tree, root) => {
    tree.lookup(bytePath('file'));
    rewrite(join(root, 'file'));
  },
  'a file that was not there': (tree, root) => {
    tree.lookup(bytePath('.dockerignore'));
    writeFileSync(join(root, '.dockerignore'), '');
  },
  'the mode of a directory': (tree, root) => {
    tree.lookup(bytePath('sub'));
    chmodSync(join(root, 'sub'), 0o700);
  },
  'where a link leads': (tree, root) => {
    tree.lookup(bytePath('link'));
    changes['a link that leads elsewhere']?.(root);
  },
  'a listed directory': (tree, root) => {
    tree.list(bytePath('sub'));
    writeFileSync(join(root, 'sub/new'), '');
  },
};

for (const [name, change] of Object.entries(behindTheBack)) {
  test(`no stamp when this build saw something else before: ${name}`, () =>
    withTempDir(root => {
      fill(root);
      const tree = open(root);
      assert.ok(tree.stamp?.(all));
      change(tree, root);
      assert.equal(tree.stamp?.(all), undefined);
      assert.ok(open(root).stamp?.(all));
    }));
}

test('a directory that cannot be looked at has none, nor has a tree without a memory for contents', () =>
  withTempDir(root => {
    fill(root);
    assert.equal(open(root).stamp?.(bytePath('missing')), undefined);
    assert.equal(open(root).stamp?.(bytePath('link')), undefined);
    assert.equal(openDirectory(root, { nowMs: later }).stamp?.(all), undefined);
  }));
