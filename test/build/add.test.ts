import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type FetchScope, fetchItems, unpackArchives } from '../../src/build/steps/add.ts';
import { type Owner, planCopy, selectSources } from '../../src/build/steps/copy.ts';
import type { Downloaded } from '../../src/context/download.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { View } from '../../src/layer/layers.ts';
import type { CopyItem, CopyStep } from '../../src/plan/steps.ts';
import { type LayerInput, showPath } from '../../src/tree/entry.ts';
import { commitAll, type GitServer, newRepository, startGitServer } from '../support/git-server.ts';
import { makeTar, type TarMember } from '../support/make-tar.ts';
import { type MemoryFile, memoryTree } from '../support/memory-tree.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-add-'));
const tmp = join(base, 'tmp');
mkdirSync(tmp);
after(() => rmSync(base, { recursive: true, force: true }));

const range = {
  file: { name: 'Dockerfile', text: '' },
  start: { line: 1, column: 0 },
  end: { line: 1, column: 1 },
};
const nowMs = 1_700_000_000_000;
const path = (text: string): CopyItem => ({ kind: 'path', path: text, range });
const url = (text: string): CopyItem => ({ kind: 'url', url: text, range });

function add(items: readonly CopyItem[], dest: string, options: Partial<CopyStep> = {}): CopyStep {
  return {
    kind: 'copy',
    id: '0.1',
    stage: 0,
    range,
    display: 'ADD',
    createdBy: 'ADD',
    config: {} as CopyStep['config'],
    instruction: 'ADD',
    from: { kind: 'context' },
    link: false,
    parents: false,
    excludes: [],
    keepGitDir: false,
    unpack: 'auto',
    ...options,
    items,
    dest,
  };
}

/** Answers any URL with `body`. */
function scope(body: string | Buffer = '', headers: Partial<Downloaded> = {}): FetchScope {
  const bytes = Buffer.from(body);
  return {
    signal: new AbortController().signal,
    tools: {
      store: { tmp },
      contextHelpers: {
        download: async request => {
          writeFileSync(request.to, bytes);
          return { size: bytes.length, digest: digestOf(bytes), ...headers };
        },
      },
    },
  };
}

function show({ entry }: LayerInput): string {
  const names: Record<number, string> = {
    0: '0',
    1500000000: 'tar',
    1600000000: 'src',
    [nowMs / 1000]: 'now',
  };
  const time = names[entry.mtimeSec] ?? entry.mtimeSec;
  const target = entry.linkTarget === undefined ? '' : ` -> ${entry.linkTarget}`;
  const opaque = entry.opaque ? ' opaque' : '';
  const mode = entry.mode.toString(8).padStart(4, '0');
  return `${entry.type} ${mode} ${entry.uid}:${entry.gid} ${time} ${showPath(entry.path)}${target}${opaque}`;
}

interface Run {
  readonly dest?: View;
  readonly owner?: Owner;
  readonly scope?: FetchScope;
}

async function plan(step: CopyStep, files: Record<string, MemoryFile>, run: Run = {}): Promise<LayerInput[]> {
  const where = run.scope ?? scope();
  const selection = selectSources(
    step,
    memoryTree(files, 'the build context'),
    await fetchItems(step, where),
  );
  const unpacked = await unpackArchives(selection, step, where);
  return planCopy(unpacked, run.dest ?? memoryTree({}), step, run.owner, { nowMs });
}

const tarOf = (members: readonly TarMember[]): MemoryFile => ({ text: makeTar(members).toString('latin1') });
/** Test archives are ASCII, so that a file of the memory tree can hold them. */
const own: TarMember[] = [
  { name: 'd/', uid: 5, gid: 6, mode: 0o700 },
  { name: 'd/f', text: 'x', uid: 5, gid: 6, mode: 0o4755 },
  { name: 'top', text: 'y', uid: 1 },
  { name: 'd/s', type: 'symlink', target: 'f', uid: 9 },
  { name: 'x/y/z', text: 'z', uid: 3 },
  { name: 'dev', type: 'char' },
];

describe('ADD of a local archive', () => {
  test('unpacks it with the owners it has', async () => {
    const planned = await plan(add([path('a.tar')], '/x/'), { 'a.tar': tarOf(own) });
    assert.deepEqual(planned.map(show), [
      'directory 0755 0:0 now x',
      'directory 0700 5:6 tar x/d',
      'file 4755 5:6 tar x/d/f',
      'symlink 0777 9:0 tar x/d/s -> f',
      'char 0644 0:0 tar x/dev',
      'file 0644 1:0 tar x/top',
      'directory 0755 0:0 now x/x',
      'directory 0755 0:0 now x/x/y',
      'file 0644 3:0 tar x/x/y/z',
    ]);
    const file = planned.find(p => p.entry.path === 'x/top')?.content;
    assert.ok(file?.kind === 'range');
    assert.equal(
      readFileSync(file.file)
        .subarray(file.offset, file.offset + file.size)
        .toString(),
      'y',
    );
  });
  test('gives everything in it to --chown, and --chmod is not for it', async () => {
    const planned = await plan(
      add([path('a.tar')], '/x', { chmod: '600' }),
      { 'a.tar': tarOf(own.slice(0, 2)) },
      {
        owner: { uid: 7, gid: 7 },
      },
    );
    assert.deepEqual(planned.map(show), [
      'directory 0755 7:7 now x',
      'directory 0700 7:7 tar x/d',
      'file 4755 7:7 tar x/d/f',
    ]);
  });
  test('leaves a directory that is there as it is', async () => {
    const dest = memoryTree({ 'x/': { mode: 0o711, uid: 3, mtimeSec: 5 } });
    const archive = tarOf([
      { name: './', mode: 0o700, uid: 5 },
      { name: './f', text: '' },
    ]);
    const planned = await plan(add([path('a.tar')], '/x'), { 'a.tar': archive }, { dest });
    assert.deepEqual(planned.map(show), ['directory 0711 3:0 5 x', 'file 0644 0:0 tar x/f']);
  });
  const cases: [string, TarMember[], string[]][] = [
    [
      'has the last of entries with one name',
      [
        { name: 'd/' },
        { name: 'd/x', text: '1' },
        { name: 'd', text: '2' },
        { name: 'g', text: '' },
        { name: 'g/' },
        { name: 'g/y', text: '3' },
      ],
      ['file 0644 0:0 tar d', 'directory 0755 0:0 tar g', 'file 0644 0:0 tar g/y'],
    ],
    [
      'applies the header of a hard link to the file',
      [
        { name: 'f', text: '1', mode: 0o600, uid: 5 },
        { name: 'h', type: 'hardlink', target: '/f', mode: 0o640 },
      ],
      ['file 0640 0:0 tar f', 'hardlink 0640 0:0 tar h -> f'],
    ],
    [
      'finds the target of a hard link below a directory whose entry comes late',
      [
        { name: 'd/f', text: '1' },
        { name: 'd/', mode: 0o700 },
        { name: 'h', type: 'hardlink', target: 'd/f' },
      ],
      ['directory 0700 0:0 tar d', 'file 0644 0:0 tar d/f', 'hardlink 0644 0:0 tar h -> d/f'],
    ],
    [
      'follows links on the way inside the image',
      [
        { name: 'a', type: 'symlink', target: '/etc' },
        { name: 'a/f', text: '1' },
        { name: 'up', type: 'symlink', target: '../../..' },
        { name: 'up/g', text: '2' },
      ],
      [
        'symlink 0777 0:0 tar a -> /etc',
        'directory 0755 0:0 now etc',
        'file 0644 0:0 tar etc/f',
        'file 0644 0:0 tar g',
        'symlink 0777 0:0 tar up -> ../../..',
      ],
    ],
  ];
  for (const [name, members, expected] of cases) {
    test(name, async () => {
      const planned = await plan(add([path('a.tar')], '/'), { 'a.tar': tarOf(members) });
      assert.deepEqual(planned.map(show), expected);
    });
  }
  test('replaces a directory of the image that is in the way of a file', async () => {
    const dest = memoryTree({ 'd/old': '', 'e/old': '' });
    const members: TarMember[] = [
      { name: 'd', text: '1' },
      { name: 'e', text: '1' },
      { name: 'e/' },
      { name: 'e/new', text: '' },
    ];
    const planned = await plan(add([path('a.tar')], '/'), { 'a.tar': tarOf(members) }, { dest });
    assert.deepEqual(planned.map(show), [
      'file 0644 0:0 tar d',
      'directory 0755 0:0 tar e opaque',
      'file 0644 0:0 tar e/new',
    ]);
  });
  for (const [name, tool] of [
    ['gzip', 'gzip'],
    ['bzip2', 'bzip2'],
    ['xz', 'xz'],
    ['zstd', 'zstd'],
  ] as const) {
    test(`knows ${name} by its content`, async () => {
      const packed = execFileSync(tool, ['-c'], { input: makeTar([{ name: 'f', text: 'x' }]) });
      const remote = scope(packed);
      const planned = await plan(
        add([url('https://h/some.bin')], '/', { unpack: 'always' }),
        {},
        { scope: remote },
      );
      assert.deepEqual(planned.map(show), ['file 0644 0:0 tar f']);
    });
  }
  test('is a copy for what is no archive, for --unpack=false and for COPY', async () => {
    const files = { 'text.tar': 'just text', 'a.tar': tarOf(own) };
    const texts = await plan(add([path('text.tar')], '/x'), files);
    assert.deepEqual(texts.map(show), ['file 0644 0:0 src x']);
    const kept = await plan(add([path('a.tar')], '/x', { unpack: 'never' }), files);
    assert.deepEqual(kept.map(show), ['file 0644 0:0 src x']);
    const copied = await plan(add([path('a.tar')], '/x', { instruction: 'COPY', unpack: 'auto' }), files);
    assert.deepEqual(copied.map(show), ['file 0644 0:0 src x']);
  });
  const refused: [string, TarMember[], string][] = [
    ['a name that leaves it', [{ name: '../out', text: '' }], 'hostile'],
    ['a hard link to nothing', [{ name: 'h', type: 'hardlink', target: 'nothing' }], 'integrity'],
    [
      'a hard link to a file of the image',
      [{ name: 'h', type: 'hardlink', target: 'etc/shadow' }],
      'integrity',
    ],
    ['a name that means a removal', [{ name: '.wh.f', text: '' }], 'unsupported'],
  ];
  for (const [name, members, code] of refused) {
    test(`is refused for ${name}`, async () => {
      const dest = memoryTree({ 'etc/shadow': 'secret' });
      await assert.rejects(plan(add([path('a.tar')], '/'), { 'a.tar': tarOf(members) }, { dest }), { code });
    });
  }
  test('is refused when it is cut off', async () => {
    const cut: MemoryFile = { text: makeTar(own).subarray(0, 800).toString('latin1') };
    await assert.rejects(plan(add([path('a.tar')], '/'), { 'a.tar': cut }), { code: 'integrity' });
  });
});

describe('ADD of a URL', () => {
  test('is a file of mode 0600 with the time of Last-Modified', async () => {
    const planned = await plan(
      add([url('https://h/dir/a%20b.txt?x=1')], '/x/'),
      {},
      {
        scope: scope('hello', { lastModifiedSec: 1_600_000_000 }),
      },
    );
    assert.deepEqual(planned.map(show), ['directory 0755 0:0 now x', 'file 0600 0:0 src x/a b.txt']);
  });
  test('takes --chown, --chmod and the name in the URL, that of Content-Disposition where there is none', async () => {
    for (const [text, name] of [
      ['https://h/x', 'x'],
      ['https://h/d/x/', 'x'],
      ['https://h/', 'named'],
      ['https://h/?x', 'named'],
    ] as const) {
      const planned = await plan(
        add([url(text)], '/', { chmod: '644' }),
        {},
        {
          scope: scope('', { name: 'named' }),
          owner: { uid: 1, gid: 2 },
        },
      );
      assert.deepEqual(planned.map(show), [`file 0644 1:2 0 ${name}`]);
    }
  });
  test('without a name in it gets one, and one that leaves the directory does not', async () => {
    for (const [text, name] of [
      ['https://h/', '__unnamed__'],
      ['https://h/%2e%2e%2fcanary', 'canary'],
      ['https://h/a/..%2f', '__unnamed__'],
    ] as const) {
      const planned = await plan(add([url(text)], '/'), {}, { scope: scope() });
      assert.equal(planned[0]?.entry.path, name);
    }
  });
  test('becomes the destination without a slash', async () => {
    const planned = await plan(add([url('https://h/x')], '/y'), {}, { scope: scope() });
    assert.deepEqual(planned.map(show), ['file 0600 0:0 0 y']);
  });
  test('is not unpacked by itself', async () => {
    const remote = scope(makeTar(own));
    const planned = await plan(add([url('https://h/x.tar')], '/'), {}, { scope: remote });
    assert.deepEqual(planned.map(show), ['file 0600 0:0 0 x.tar']);
  });
  test('must have the checksum that is asked for', async () => {
    const good = ['sha256', 'sha384', 'sha512'].map(
      a => `${a}:${createHash(a).update('hello').digest('hex')}`,
    );
    for (const checksum of good) {
      const planned = await plan(add([url('https://h/x')], '/', { checksum }), {}, { scope: scope('hello') });
      assert.equal(planned.length, 1);
    }
    await assert.rejects(
      plan(add([url('https://h/x')], '/', { checksum: digestOf('other') }), {}, { scope: scope('hello') }),
      {
        code: 'integrity',
        facts: { expected: digestOf('other'), found: digestOf('hello') },
      },
    );
  });
});

describe('ADD of a git repository', () => {
  let server: GitServer;
  let commit = '';
  before(async () => {
    const repository = newRepository(base, 'r');
    writeFileSync(join(repository, 'run'), 'x', { mode: 0o700 });
    mkdirSync(join(repository, 'sub'));
    writeFileSync(join(repository, 'sub/f'), 'y');
    commit = commitAll(repository, 'c');
    server = await startGitServer(base);
  });
  after(() => server.close());
  const names = (planned: LayerInput[]) =>
    planned.map(p => `${p.entry.mode.toString(8)} ${p.entry.path}`).filter(name => !name.includes('.git/'));

  test('puts the files of the commit in the destination', async () => {
    const step = add([{ kind: 'git', url: `${server.url}/r#main`, range }], '/x');
    assert.deepEqual(names(await plan(step, {})), ['755 x', '755 x/run', '755 x/sub', '644 x/sub/f']);
  });
  test('leaves out what --exclude names', async () => {
    const item = { kind: 'git', url: `${server.url}/r#main`, range } as const;
    const sub = add([item], '/x', { excludes: ['sub'] });
    assert.deepEqual(names(await plan(sub, {})), ['755 x', '755 x/run']);
    const others = add([item], '/x', { excludes: ['*', '!sub/f'] });
    assert.deepEqual(names(await plan(others, {})), ['755 x', '755 x/sub', '644 x/sub/f']);
  });
  test('takes a directory, --keep-git-dir and the commit as --checksum', async () => {
    const sub = add([{ kind: 'git', url: `${server.url}/r#:sub`, range }], '/x', { checksum: commit });
    assert.deepEqual(names(await plan(sub, {})), ['755 x', '644 x/f']);
    const kept = add([{ kind: 'git', url: `${server.url}/r`, range }], '/x', { keepGitDir: true });
    assert.ok(names(await plan(kept, {})).includes('755 x/.git'));
    const other = add([{ kind: 'git', url: `${server.url}/r`, range }], '/x', { checksum: '0'.repeat(40) });
    await assert.rejects(plan(other, {}), { code: 'integrity' });
  });
});
