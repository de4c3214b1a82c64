import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planCopy, planDirectory, selectionParts, selectSources } from '../../src/build/steps/copy.ts';
import type { SourceRange } from '../../src/errors.ts';
import type { View } from '../../src/layer/layers.ts';
import type { CopyItem, CopyStep } from '../../src/plan/steps.ts';
import { bytePath, type LayerInput, showPath } from '../../src/tree/entry.ts';
import { type MemoryFile, memoryTree } from '../support/memory-tree.ts';

const file = { name: 'Dockerfile', text: '' };
const range: SourceRange = { file, start: { line: 2, column: 0 }, end: { line: 2, column: 9 } };
const nowMs = 1_700_000_000_000;

type Options = Partial<Omit<CopyStep, 'items' | 'dest'>> & { readonly owner?: { uid: number; gid: number } };

function step(sources: readonly (string | CopyItem)[], dest: string, options: Options = {}): CopyStep {
  const items = sources.map((s): CopyItem => (typeof s === 'string' ? { kind: 'path', path: s, range } : s));
  return {
    kind: 'copy',
    id: '0.1',
    stage: 0,
    range,
    display: 'COPY',
    createdBy: 'COPY',
    config: {} as CopyStep['config'],
    instruction: 'COPY',
    from: { kind: 'context' },
    link: false,
    parents: false,
    excludes: [],
    keepGitDir: false,
    unpack: 'never',
    ...options,
    items,
    dest,
  };
}

/** `type mode owner time path -> target`, the time as `src` (the source's), `root` (its root's), `now` or seconds. */
function show({ entry }: LayerInput): string {
  const names: Record<number, string> = { 0: 'root', 1600000000: 'src', [nowMs / 1000]: 'now' };
  const time = names[entry.mtimeSec] ?? entry.mtimeSec;
  const mode = entry.mode.toString(8).padStart(4, '0');
  const target = entry.linkTarget === undefined ? '' : ` -> ${entry.linkTarget}`;
  const opaque = entry.opaque ? ' opaque' : '';
  return `${entry.type} ${mode} ${entry.uid}:${entry.gid} ${time} ${showPath(entry.path)}${target}${opaque}`;
}

function copy(source: View, dest: View, copyStep: CopyStep, owner?: { uid: number; gid: number }): string[] {
  const selection = selectSources(copyStep, source);
  return planCopy(selection, dest, copyStep, owner, { nowMs }).map(show);
}

const empty = memoryTree({});
const plain: Record<string, MemoryFile> = {
  'a.txt': 'x',
  'b.txt': 'y',
  'real/f': '1',
  'real/hard': { type: 'hardlink', linkTarget: 'real/f' },
  'real/sub/': { mode: 0o700 },
  'real/sub/g': { text: '2', mode: 0o4755 },
  'real/sub/up': { type: 'symlink', linkTarget: '../f' },
  'priv/': { mode: 0o700, uid: 7, gid: 8 },
  'priv/h': { text: '3', uid: 7, gid: 8 },
  link: { type: 'symlink', linkTarget: 'real' },
  flink: { type: 'symlink', linkTarget: 'real/f' },
  dang: { type: 'symlink', linkTarget: '/etc/passwd' },
  'w/ff': { type: 'fifo' },
  'w/null': { type: 'char', devMajor: 1, devMinor: 3 },
};
const context = memoryTree(plain, 'the build context');

/** Each as docker build (BuildKit) does it, checked against it. */
const cases: [string, string[], string, Options, string[]][] = [
  ['a file into the root', ['a.txt'], '/', {}, ['file 0644 0:0 src a.txt']],
  ['a file under a new name', ['a.txt'], '/x', {}, ['file 0644 0:0 src x']],
  [
    'a file into a directory that is made with its parents',
    ['a.txt'],
    '/x/y/',
    {},
    ['directory 0755 0:0 now x', 'directory 0755 0:0 now x/y', 'file 0644 0:0 src x/y/a.txt'],
  ],
  [
    'several files',
    ['a.txt', 'b.txt'],
    '/x/',
    {},
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/a.txt', 'file 0644 0:0 src x/b.txt'],
  ],
  [
    'the contents of a directory, whose own mode and owner stay behind',
    ['priv'],
    '/x/y',
    {},
    ['directory 0755 0:0 now x', 'directory 0755 0:0 src x/y', 'file 0644 7:8 src x/y/h'],
  ],
  [
    'hard links of one directory stay together, links inside stay links, setuid stays',
    ['real'],
    '/r',
    {},
    [
      'directory 0755 0:0 src r',
      'file 0644 0:0 src r/f',
      'hardlink 0644 0:0 src r/hard -> r/f',
      'directory 0700 0:0 src r/sub',
      'file 4755 0:0 src r/sub/g',
      'symlink 0777 0:0 src r/sub/up -> ../f',
    ],
  ],
  [
    'two names of one file given one by one are two files',
    ['real/f', 'real/hard'],
    '/x/',
    {},
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/f', 'file 0644 0:0 src x/hard'],
  ],
  [
    'a link that is a source is followed',
    ['flink'],
    '/x/',
    {},
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/flink'],
  ],
  ['a link as a component of a source is followed', ['link/sub/up'], '/x', {}, ['file 0644 0:0 src x']],
  [
    'a wildcard does not look behind links',
    ['*/f'],
    '/x/',
    {},
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/f'],
  ],
  [
    'a directory that a wildcard matches is emptied into the destination',
    ['p*v'],
    '/x/',
    {},
    ['directory 0755 0:0 src x', 'file 0644 7:8 src x/h'],
  ],
  [
    'a class in a wildcard',
    ['[ab].txt'],
    '/x/',
    {},
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/a.txt', 'file 0644 0:0 src x/b.txt'],
  ],
  ['several files onto one name: the last is left', ['a.txt', 'b.txt'], '/x', {}, ['file 0644 0:0 src x']],
  ['.. and a leading / stay in the context', ['../../a.txt'], '/../x', {}, ['file 0644 0:0 src x']],
  ['a wildcard that matches nothing copies nothing', ['nope*'], '/x/', {}, []],
  [
    '--chown and --chmod reach the directories that are made',
    ['real/sub'],
    '/a/b/',
    { chmod: '711', owner: { uid: 8, gid: 9 } },
    [
      'directory 0711 8:9 now a',
      'directory 0711 8:9 src a/b',
      'file 0711 8:9 src a/b/g',
      'symlink 0777 8:9 src a/b/up -> ../f',
    ],
  ],
  [
    'symbolic --chmod',
    ['real/sub'],
    '/w/',
    { chmod: 'u=rwX,go=rX' },
    ['directory 0755 0:0 src w', 'file 0755 0:0 src w/g', 'symlink 0777 0:0 src w/up -> ../f'],
  ],
  ['devices and fifos', ['w'], '/', {}, ['fifo 0644 0:0 src ff', 'char 0644 0:0 src null']],
  [
    '--exclude below a directory',
    ['real'],
    '/x/',
    { excludes: ['f', '**/g'] },
    [
      'directory 0755 0:0 src x',
      'file 0644 0:0 src x/hard',
      'directory 0700 0:0 src x/sub',
      'symlink 0777 0:0 src x/sub/up -> ../f',
    ],
  ],
  [
    '--exclude with an exception',
    ['real'],
    '/x/',
    { excludes: ['sub', '!sub/g'] },
    [
      'directory 0755 0:0 src x',
      'file 0644 0:0 src x/f',
      'hardlink 0644 0:0 src x/hard -> x/f',
      'directory 0700 0:0 src x/sub',
      'file 4755 0:0 src x/sub/g',
    ],
  ],
  [
    '--exclude of what a wildcard matches',
    ['*.txt'],
    '/x/',
    { excludes: ['a*'] },
    ['directory 0755 0:0 now x', 'file 0644 0:0 src x/b.txt'],
  ],
  [
    '--parents keeps the directories, with their own mode',
    ['real/sub/g', 'a.txt'],
    '/x/',
    { parents: true },
    [
      'directory 0755 0:0 root x',
      'file 0644 0:0 src x/a.txt',
      'directory 0755 0:0 src x/real',
      'directory 0700 0:0 src x/real/sub',
      'file 4755 0:0 src x/real/sub/g',
    ],
  ],
  [
    '--parents with a pivot',
    ['real/./sub/g'],
    '/x/',
    { parents: true },
    ['directory 0755 0:0 src x', 'directory 0700 0:0 src x/sub', 'file 4755 0:0 src x/sub/g'],
  ],
  [
    '--parents with **',
    ['**/g'],
    '/x/',
    { parents: true },
    [
      'directory 0755 0:0 root x',
      'directory 0755 0:0 src x/real',
      'directory 0700 0:0 src x/real/sub',
      'file 4755 0:0 src x/real/sub/g',
    ],
  ],
];

describe('COPY into an empty image', () => {
  for (const [name, sources, dest, { owner, ...options }, expected] of cases) {
    test(name, () => assert.deepEqual(copy(context, empty, step(sources, dest, options), owner), expected));
  }
});

describe('COPY into an image with files', () => {
  const image = memoryTree({
    'etc/': { mode: 0o750, uid: 3, gid: 4, mtimeSec: 5, xattrs: { 'user.x': 'y' } },
    'etc/conf': 'old',
    'lib/': { mode: 0o711, mtimeSec: 6 },
    'usr/lib/': {},
    mnt: { type: 'symlink', linkTarget: 'usr/lib' },
    abs: { type: 'symlink', linkTarget: '/usr' },
    out: { type: 'symlink', linkTarget: '../../../tmp/new' },
    loop: { type: 'symlink', linkTarget: 'loop' },
  });

  test('directories above are listed as they are', () => {
    const planned = planCopy(
      selectSources(step(['a.txt'], '/etc/'), context),
      image,
      step([], '/etc/'),
      undefined,
      {
        nowMs,
      },
    );
    assert.deepEqual(planned.map(show), ['directory 0750 3:4 5 etc', 'file 0644 0:0 src etc/a.txt']);
    assert.deepEqual(planned[0]?.entry.xattrs, { 'user.x': 'y' });
  });
  test('a directory copied onto one changes its time only, directories inside are overwritten', () => {
    const source = memoryTree({
      'new/': { mode: 0o777 },
      'new/lib/': { mode: 0o700, uid: 1 },
      'new/lib/l': '',
    });
    assert.deepEqual(copy(source, image, step(['new/lib'], '/lib')), [
      'directory 0711 0:0 src lib',
      'file 0644 0:0 src lib/l',
    ]);
    assert.deepEqual(copy(source, image, step(['new'], '/')), [
      'directory 0700 1:0 src lib',
      'file 0644 0:0 src lib/l',
    ]);
  });
  test('links in the destination are followed inside the image', () => {
    const expected = [
      'directory 0755 0:0 src usr',
      'directory 0755 0:0 src usr/lib',
      'file 0644 0:0 src usr/lib/a.txt',
    ];
    assert.deepEqual(copy(context, image, step(['a.txt'], '/mnt/')), expected);
    assert.deepEqual(copy(context, image, step(['a.txt'], '/mnt')), expected);
    assert.deepEqual(copy(context, image, step(['a.txt'], '/abs/lib/')), expected);
  });
  test('a link that leads out of the image ends inside it', () => {
    assert.deepEqual(copy(context, image, step(['a.txt'], '/out/')), [
      'directory 0755 0:0 now tmp',
      'directory 0755 0:0 now tmp/new',
      'file 0644 0:0 src tmp/new/a.txt',
    ]);
  });
  test('--link does not look at the image below', () => {
    assert.deepEqual(copy(context, image, step(['a.txt'], '/mnt/', { link: true })), [
      'directory 0755 0:0 now mnt',
      'file 0644 0:0 src mnt/a.txt',
    ]);
  });
  test('a file replaces a file', () => {
    assert.deepEqual(copy(context, image, step(['a.txt'], '/etc/conf')), [
      'directory 0750 3:4 5 etc',
      'file 0644 0:0 src etc/conf',
    ]);
  });
  const refused: [string, View, string, string, RegExp][] = [
    ['a directory onto a file', context, 'real', '/etc/conf', /"\/etc\/conf"/],
    ['a directory onto a link', memoryTree({ 'd/mnt/': {} }), 'd', '/', /"\/mnt"/],
    ['a file onto a directory', memoryTree({ 'd/etc': '' }), 'd', '/', /"\/etc".*directory is in the way/],
    ['a file below a file', context, 'a.txt', '/etc/conf/x', /"\/etc\/conf"/],
    ['a file into a file', context, 'a.txt', '/etc/conf/', /"\/etc\/conf"/],
    ['a destination that loops', context, 'a.txt', '/loop/x', /symbolic links/],
  ];
  for (const [name, source, path, dest, message] of refused) {
    test(`${name} is refused`, () =>
      assert.throws(() => copy(source, image, step([path], dest)), { code: 'context', message }));
  }
  test('names that mean a removal in a layer are refused', () => {
    const source = memoryTree({ 'd/.wh.x': '' });
    assert.throws(() => copy(source, image, step(['d'], '/')), { code: 'unsupported', message: /\.wh\.x/ });
  });
  test('a later source sees what an earlier one has put there', () => {
    const source = memoryTree({ 'l/d': { type: 'symlink', linkTarget: '/etc' }, f: '' });
    assert.deepEqual(copy(source, image, step(['l', 'f'], '/n/')), [
      'directory 0755 0:0 src n',
      'symlink 0777 0:0 src n/d -> /etc',
      'file 0644 0:0 src n/f',
    ]);
  });
});

describe('sources that are not there', () => {
  test('a missing file names the path and a similar one', () => {
    assert.throws(() => selectSources(step(['A.txt'], '/'), context), {
      code: 'context',
      message: '"/A.txt" was not found in the build context',
      hint: 'did you mean "a.txt"?',
      range,
    });
  });
  test('a link that leaves the context is not followed', () => {
    assert.throws(() => selectSources(step(['dang'], '/'), context), {
      code: 'context',
      message: /symbolic link to "\/etc\/passwd", which is not in the build context/,
    });
  });
  test('a file that the ignore file hides is told apart', () => {
    const hiding = {
      description: 'the build context',
      lookup: (path: string) => context.lookup(bytePath(path === 'a.txt' ? 'none' : path)),
      list: context.list.bind(context),
      content: context.content.bind(context),
      contentDigests: context.contentDigests.bind(context),
      hiddenBy: () => ({ pattern: '*.txt', file: '.dockerignore', line: 3 }),
    };
    assert.throws(() => selectSources(step(['a.txt'], '/'), hiding), {
      message: '"/a.txt" is left out of the build context by the pattern "*.txt" (.dockerignore:3)',
    });
  });
  test('a wildcard without a match is a warning', () => {
    const { warnings, sources } = selectSources(step(['nope*', 'a.txt'], '/'), context);
    assert.deepEqual(
      warnings.map(w => [w.rule, w.range]),
      [['empty-wildcard', range]],
    );
    assert.equal(sources.length, 1);
  });
  test('a missing file is an error with --parents too', () => {
    assert.throws(() => selectSources(step(['real/nope'], '/', { parents: true }), context), {
      message: /"\/real\/nope" was not found/,
    });
  });
  test('a malformed pattern is an error with its place', () => {
    assert.throws(() => selectSources(step(['a[.txt'], '/'), context), { code: 'dockerfile', range });
  });
});

describe('heredocs', () => {
  const inline: CopyItem[] = [
    { kind: 'inline', name: 'EOF', text: 'hi\n' },
    { kind: 'inline', name: 'other', text: 'ä' },
  ];
  test('are files of mode 0644, named after the word', () => {
    assert.deepEqual(copy(context, empty, step(inline, '/x/')), [
      'directory 0755 0:0 now x',
      'file 0644 0:0 now x/EOF',
      'file 0644 0:0 now x/other',
    ]);
    const planned = planCopy(selectSources(step(inline, '/x/'), context), empty, step([], '/x/'), undefined, {
      nowMs,
    });
    assert.deepEqual(
      planned.map(p => p.entry.size),
      [0, 3, 2],
    );
  });
  test('take --chmod', () => {
    assert.deepEqual(copy(context, empty, step([inline[0] as CopyItem], '/x', { chmod: 'go+x' })), [
      'file 0655 0:0 now x',
    ]);
  });
});

describe('what the cache key sees of a selection', () => {
  const partsOf = async (files: Record<string, MemoryFile>, copyStep = step(['d'], '/x/')) =>
    JSON.stringify(await selectionParts(selectSources(copyStep, memoryTree(files))));
  test('contents, names, modes and links count; times do not', async () => {
    const base = await partsOf({ 'd/f': 'one', 'd/g': 'one' });
    assert.equal(await partsOf({ 'd/f': { text: 'one', mtimeSec: 9 }, 'd/g': 'one' }), base);
    assert.notEqual(await partsOf({ 'd/f': 'two', 'd/g': 'one' }), base);
    assert.notEqual(await partsOf({ 'd/f': 'one', 'd/h': 'one' }), base);
    assert.notEqual(await partsOf({ 'd/f': { text: 'one', mode: 0o755 }, 'd/g': 'one' }), base);
    assert.notEqual(await partsOf({ 'd/f': 'one', 'd/g': { type: 'hardlink', linkTarget: 'd/f' } }), base);
  });
  test('a file that is excluded does not count', async () => {
    const excluding = step(['d'], '/x/', { excludes: ['g'] });
    assert.equal(
      await partsOf({ 'd/f': '1', 'd/g': '2' }, excluding),
      await partsOf({ 'd/f': '1', 'd/g': '3' }, excluding),
    );
  });
});

describe('WORKDIR', () => {
  test('makes what is missing and nothing where it is there', () => {
    const image = memoryTree({
      'home/': { mode: 0o700, mtimeSec: 5 },
      to: { type: 'symlink', linkTarget: 'home' },
    });
    const owner = { uid: 5, gid: 6 };
    assert.deepEqual(planDirectory(image, bytePath('home'), owner, nowMs), []);
    assert.deepEqual(planDirectory(image, bytePath('to/a/b'), owner, nowMs).map(show), [
      'directory 0700 0:0 5 home',
      'directory 0755 5:6 now home/a',
      'directory 0755 5:6 now home/a/b',
    ]);
  });
});
