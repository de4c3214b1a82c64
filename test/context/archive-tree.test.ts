import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { archiveTree } from '../../src/context/archive-tree.ts';
import { recognizeArchive, spoolTar } from '../../src/context/spool-tar.ts';
import { type BytePath, bytePath } from '../../src/tree/entry.ts';
import type { FileTree } from '../../src/tree/file-tree.ts';
import { makeTar, type TarMember } from '../support/make-tar.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-archive-'));
after(() => rmSync(base, { recursive: true, force: true }));
let count = 0;

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function treeOf(members: readonly TarMember[]): Promise<FileTree> {
  const to = join(base, `${++count}.tar`);
  return archiveTree(
    await spoolTar(pieces(makeTar(members), 700), to, new AbortController().signal),
    'the archive',
  );
}

function walk(tree: FileTree, directory = '' as BytePath): string[] {
  return tree.list(directory).flatMap(name => {
    const path = (directory === '' ? name : `${directory}/${name}`) as BytePath;
    const entry = tree.lookup(path);
    if (entry?.type === 'directory') return [`${path}/`, ...walk(tree, path)];
    if (entry?.type === 'symlink') return [`${path} -> ${entry.linkTarget}`];
    if (entry?.type !== 'file') return [`${path} ${entry?.type}`];
    const content = tree.content(entry);
    assert.equal(content.kind, 'range');
    if (content.kind !== 'range') return [];
    return [
      `${path} = ${readFileSync(content.file).subarray(content.offset, content.offset + content.size)}`,
    ];
  });
}

const link = (name: string, target: string): TarMember => ({ name, type: 'symlink', target });
const hard = (name: string, target: string): TarMember => ({ name, type: 'hardlink', target });

describe('the tree of an archive', () => {
  const cases: [string, TarMember[], string[]][] = [
    ['has parents that were not listed', [{ name: 'a/b/c', text: '1' }], ['a/', 'a/b/', 'a/b/c = 1']],
    [
      'has the last of entries with one name',
      [
        { name: 'f', text: '1' },
        { name: 'f', text: '22' },
      ],
      ['f = 22'],
    ],
    [
      'lets a directory and a file replace each other',
      [
        { name: 'd/x', text: '1' },
        { name: 'd', text: '2' },
        { name: 'f', text: '3' },
        { name: 'f/y', text: '4' },
      ],
      ['d = 2', 'f/', 'f/y = 4'],
    ],
    [
      'follows links inside its root',
      [link('a', '/etc'), { name: 'a/f', text: '1' }, link('up', '../../..'), { name: 'up/g', text: '2' }],
      ['a -> /etc', 'etc/', 'etc/f = 1', 'g = 2', 'up -> ../../..'],
    ],
    ['follows no link at the end of a name', [link('l', 'target'), { name: 'l', text: '1' }], ['l = 1']],
    [
      'knows hard links, and links to links',
      [{ name: 'f', text: '1' }, hard('h', '/f'), link('s', 'q'), hard('t', 's')],
      ['f = 1', 'h = 1', 's -> q', 't -> q'],
    ],
    [
      'does not carry a replaced file over to its other names',
      [{ name: 'f', text: 'old' }, hard('h', 'f'), { name: 'f', text: 'new' }],
      ['f = new', 'h = old'],
    ],
  ];
  for (const [name, members, expected] of cases) {
    test(name, async () => assert.deepEqual(walk(await treeOf(members)), expected));
  }
  test('tells which names are one file', async () => {
    const tree = await treeOf([{ name: 'f', text: '1' }, hard('h', 'f'), { name: 'g', text: '1' }]);
    const group = (path: string) => {
      const entry = tree.lookup(bytePath(path));
      return entry && tree.linkGroup?.(entry);
    };
    assert.equal(group('f'), group('h'));
    assert.notEqual(group('f'), group('g'));
  });
  test('is refused for names that leave it and hard links to nothing', async () => {
    await assert.rejects(treeOf([{ name: '../out', text: '' }]), { code: 'hostile' });
    await assert.rejects(treeOf([{ name: 'a/../../out', text: '' }]), { code: 'hostile' });
    await assert.rejects(treeOf([hard('h', 'nothing')]), { code: 'integrity', message: /leads to nothing/ });
    await assert.rejects(treeOf([link('a', 'b'), link('b', 'a'), { name: 'a/f', text: '' }]), {
      code: 'hostile',
      message: /circles/,
    });
  });
  test("keeps capabilities and users' attributes, and none that steer overlay", async () => {
    const xattrs = {
      'security.capability': '\u0001\u0080',
      'user.a': 'b',
      'trusted.overlay.opaque': 'y',
      'user.overlay.redirect': '/',
    };
    const tree = await treeOf([{ name: 'f', text: '', xattrs }]);
    const kept = tree.lookup(bytePath('f'))?.xattrs;
    assert.deepEqual(Object.keys(kept ?? {}).sort(), ['security.capability', 'user.a']);
  });
});

describe('what is an archive', () => {
  const members: TarMember[] = [{ name: 'f', text: '1' }];
  const cases: [string, Buffer, boolean][] = [
    ['a tar', makeTar(members), true],
    ['text', Buffer.from('FROM scratch\n'), false],
    ['nothing', Buffer.alloc(0), false],
    ['a tar without entries', Buffer.alloc(1024), false],
    ['something that starts like gzip', Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]), false],
  ];
  for (const [name, bytes, expected] of cases) {
    test(`${name}: ${expected}`, async () => {
      assert.equal((await recognizeArchive(pieces(bytes, 100))) !== undefined, expected);
    });
  }
});
