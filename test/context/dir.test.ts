import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { openDirectory } from '../../src/context/dir.ts';
import { parseIgnore } from '../../src/context/ignore.ts';
import { withoutIgnored } from '../../src/context/ignored-tree.ts';
import { digestOf } from '../../src/image/digest.ts';
import { type BytePath, bytePath, type Entry } from '../../src/tree/entry.ts';
import type { FileTree } from '../../src/tree/file-tree.ts';
import type { StatIndex } from '../../src/tree/stat-index.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-dir-'));
after(() => rmSync(base, { recursive: true, force: true }));
let root = base;
let count = 0;
beforeEach(() => {
  root = join(base, String(++count));
  mkdirSync(root);
});

function write(path: string, text = path): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function walk(tree: FileTree, directory = '' as BytePath): string[] {
  return tree.list(directory).flatMap(name => {
    const path = (directory === '' ? name : `${directory}/${name}`) as BytePath;
    const entry = tree.lookup(path);
    return entry?.type === 'directory' ? [`${path}/`, ...walk(tree, path)] : [path];
  });
}

function found(tree: FileTree, path: string): Entry {
  const entry = tree.lookup(bytePath(path));
  assert.ok(entry, `${path} is there`);
  return entry;
}

describe('a directory as context', () => {
  test('lists names in byte order, whatever the bytes', () => {
    write('b');
    write('B');
    write('ä');
    writeFileSync(Buffer.from(`${root}/\xff`, 'latin1'), '');
    const tree = openDirectory(root);
    assert.deepEqual(tree.list('' as BytePath), ['B', 'b', Buffer.from('ä').toString('latin1'), '\xff']);
    assert.equal(tree.lookup('\xff' as BytePath)?.type, 'file');
  });
  test('says mode, size, time and link text, and that everything belongs to root', () => {
    write('d/f', 'hello');
    chmodSync(join(root, 'd/f'), 0o4750);
    execFileSync('touch', ['-d', '@-5.5', join(root, 'd/f')]);
    symlinkSync('../x', join(root, 'd/l'));
    const tree = openDirectory(root);
    const expected = { mode: 0o4750, uid: 0, gid: 0, mtimeSec: -6, mtimeNsec: 500_000_000, size: 5 };
    assert.deepEqual(found(tree, 'd/f'), { path: 'd/f', type: 'file', ...expected });
    const link = found(tree, 'd/l');
    assert.deepEqual([link.type, link.linkTarget, link.size], ['symlink', '../x', 0]);
  });
  test('never looks behind a link', () => {
    write('real/f');
    symlinkSync('real', join(root, 'link'));
    const tree = openDirectory(root);
    assert.equal(tree.lookup(bytePath('link/f')), undefined);
    assert.deepEqual(tree.list(bytePath('link')), []);
    assert.equal(tree.lookup(bytePath('real/f/x')), undefined);
    assert.equal(tree.lookup(bytePath('none')), undefined);
    assert.equal(tree.lookup(bytePath('n'.repeat(300))), undefined);
  });
  test('has fifos and no sockets', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const server = createServer().listen(join(root, 'socket'));
    await new Promise(resolve => server.once('listening', resolve));
    const tree = openDirectory(root);
    assert.deepEqual(tree.list('' as BytePath), ['fifo']);
    assert.equal(found(tree, 'fifo').type, 'fifo');
    server.close();
  });
  test('knows which names are one file', () => {
    write('a');
    write('c');
    linkSync(join(root, 'a'), join(root, 'b'));
    const tree = openDirectory(root);
    const group = (path: string) => tree.linkGroup?.(found(tree, path));
    assert.ok(group('a'));
    assert.equal(group('a'), group('b'));
    assert.equal(group('c'), undefined);
  });
  test('a directory that cannot be read is an error with its name', () => {
    write('d/f');
    const tree = openDirectory(root);
    found(tree, 'd');
    renameSync(join(root, 'd'), join(root, 'e'));
    assert.throws(() => tree.list(bytePath('d')), { code: 'context', message: /"d" in the build context/ });
  });
});

describe('contents of a directory', () => {
  const remembering = () => {
    const known = new Map<bigint, ReturnType<typeof digestOf>>();
    const index: StatIndex = {
      lookup: stamp => known.get(stamp.ino),
      remember: (stamp, digest) => known.set(stamp.ino, digest),
      passOver: () => undefined,
      save: () => undefined,
    };
    return { known, index };
  };
  test('are hashed in the order asked for', async () => {
    write('a', 'one');
    write('b', 'two');
    const tree = openDirectory(root);
    const entries = [found(tree, 'b'), found(tree, 'a'), found(tree, 'b')];
    assert.deepEqual(await tree.contentDigests(entries), [digestOf('two'), digestOf('one'), digestOf('two')]);
  });
  test('that the index knows are not read', async () => {
    write('a', 'one');
    const { known, index } = remembering();
    known.set(lstatSync(join(root, 'a'), { bigint: true }).ino, digestOf('remembered'));
    const tree = openDirectory(root, { statIndex: index });
    assert.deepEqual(await tree.contentDigests([found(tree, 'a')]), [digestOf('remembered')]);
  });
  test('that were read are remembered, and read once', async () => {
    write('a', 'one');
    const { known, index } = remembering();
    let asked = 0;
    const tree = openDirectory(root, {
      statIndex: index,
      hashContents: async sources => {
        asked += sources.length;
        return sources.map(() => digestOf('one'));
      },
    });
    const entry = found(tree, 'a');
    await Promise.all([tree.contentDigests([entry]), tree.contentDigests([entry, entry])]);
    await tree.contentDigests([entry]);
    assert.equal(asked, 1);
    assert.deepEqual([...known.values()], [digestOf('one')]);
  });
  test('are not read through a link that took the place of a directory', async () => {
    write('d/secret', 'mine');
    mkdirSync(join(base, `other${count}`));
    writeFileSync(join(base, `other${count}/secret`), 'not mine');
    const tree = openDirectory(root);
    const entry = found(tree, 'd/secret');
    renameSync(join(root, 'd'), join(root, 'was'));
    symlinkSync(join(base, `other${count}`), join(root, 'd'));
    await assert.rejects(tree.contentDigests([entry]), { code: /context|hostile/ });
  });
  test('that became shorter are an error', async () => {
    write('a', 'long enough');
    const tree = openDirectory(root);
    const entry = found(tree, 'a');
    writeFileSync(join(root, 'a'), '');
    await assert.rejects(tree.contentDigests([entry]), { code: 'context', message: /shorter/ });
  });
});

describe('a directory with an ignore file', () => {
  const ignoring = (text: string) =>
    withoutIgnored(openDirectory(root), parseIgnore({ name: '.dockerignore', text }));
  beforeEach(() => {
    for (const path of ['a.txt', 'docs/x.md', 'docs/keep/y.md', 'docs/deep/er/z.md', 'src/a.go']) write(path);
  });
  const cases: [string, string[]][] = [
    ['docs', ['a.txt', 'src/', 'src/a.go']],
    ['docs\n!docs/keep', ['a.txt', 'docs/', 'docs/keep/', 'docs/keep/y.md', 'src/', 'src/a.go']],
    ['docs\n!docs/none', ['a.txt', 'src/', 'src/a.go']],
    ['*\n!**/z.md', ['docs/', 'docs/deep/', 'docs/deep/er/', 'docs/deep/er/z.md']],
    ['**/*.md', ['a.txt', 'docs/', 'docs/deep/', 'docs/deep/er/', 'docs/keep/', 'src/', 'src/a.go']],
    ['*', []],
  ];
  for (const [text, expected] of cases) {
    test(`${JSON.stringify(text)} leaves ${expected.length} files`, () =>
      assert.deepEqual(walk(ignoring(text)), expected));
  }
  test('tells which line hides a file that is there', () => {
    const tree = ignoring('# c\n*.txt\ndocs');
    assert.deepEqual(tree.hiddenBy?.(bytePath('a.txt')), {
      pattern: '*.txt',
      file: '.dockerignore',
      line: 2,
    });
    assert.deepEqual(tree.hiddenBy?.(bytePath('docs/x.md')), {
      pattern: 'docs',
      file: '.dockerignore',
      line: 3,
    });
    assert.equal(tree.hiddenBy?.(bytePath('b.txt')), undefined);
    assert.equal(tree.hiddenBy?.(bytePath('src/a.go')), undefined);
  });
});
