import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { type Digest, digestOf } from '../../src/image/digest.ts';
import type { LayerIndex } from '../../src/layer/layers.ts';
import { makeView } from '../../src/layer/view.ts';
import { bytePath, type ContentSource, type LayerEntry } from '../../src/tree/entry.ts';

type Spec = Partial<Omit<LayerEntry, 'path'>> & { path: string };

/** A layer whose file contents are `<name>@<layer label>`. */
function layer(label: string, ...specs: Spec[]): LayerIndex {
  const entries = specs.map(
    spec =>
      ({
        type: 'file',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtimeSec: 0,
        mtimeNsec: 0,
        size: 0,
        ...spec,
        path: bytePath(spec.path),
      }) as LayerEntry,
  );
  return {
    entries: entries.sort((a, b) => (a.path < b.path ? -1 : 1)),
    content: entry => ({ kind: 'bytes', bytes: Buffer.from(`${entry.path}@${label}`) }),
  };
}

const dir = (path: string, more: Partial<Spec> = {}): Spec => ({
  path,
  type: 'directory',
  mode: 0o755,
  ...more,
});
const file = (path: string): Spec => ({ path });
const gone = (path: string): Spec => ({ path, type: 'whiteout' });
const link = (path: string, linkTarget: string): Spec => ({ path, type: 'symlink', linkTarget });
const hard = (path: string, linkTarget: string): Spec => ({ path, type: 'hardlink', linkTarget });

let hashed = 0;
const helpers = {
  async hashContents(sources: readonly ContentSource[]): Promise<Digest[]> {
    hashed += sources.length;
    return sources.map(source => digestOf(source.kind === 'bytes' ? source.bytes : ''));
  },
};
const view = (...layers: LayerIndex[]) => makeView(layers, 'a test', helpers);

function text(v: ReturnType<typeof view>, path: string): string {
  const entry = v.lookup(bytePath(path));
  assert.ok(entry, `${path} is there`);
  const content = v.content(entry);
  assert.equal(content.kind, 'bytes');
  return Buffer.from(content.kind === 'bytes' ? content.bytes : '').toString();
}

describe('a view of layers', () => {
  it('shows the newest file of a name and says which layer it came from', () => {
    const v = view(
      layer('0', dir('a'), file('a/x'), file('a/y')),
      layer('1', dir('a', { mode: 0o700 }), file('a/x')),
    );
    assert.equal(text(v, 'a/x'), 'a/x@1');
    assert.equal(text(v, 'a/y'), 'a/y@0');
    assert.equal(v.lookup(bytePath('a'))?.mode, 0o700);
    assert.deepEqual([v.layerOf(bytePath('a/x')), v.layerOf(bytePath('a/y'))], [1, 0]);
    assert.deepEqual(v.list(bytePath('a')), ['x', 'y']);
  });

  it('has a root even when there is no layer', () => {
    assert.equal(view().lookup(bytePath(''))?.type, 'directory');
    assert.deepEqual(view().list(bytePath('')), []);
  });

  it('hides what a whiteout names, with everything in it, and shows what comes again later', () => {
    const base = layer('0', dir('a'), file('a/x'), dir('a/d'), file('a/d/z'));
    const v = view(base, layer('1', dir('a'), gone('a/d'), gone('a/x')));
    assert.deepEqual(v.list(bytePath('a')), []);
    assert.equal(v.lookup(bytePath('a/d/z')), undefined);
    const again = view(base, layer('1', gone('a')), layer('2', file('a/new')));
    assert.deepEqual(again.list(bytePath('a')), ['new']);
  });

  it('ignores a whiteout of something that is not there', () => {
    assert.deepEqual(view(layer('0', gone('no/such'))).list(bytePath('')), []);
  });

  it('applies an opaque directory to the layers below only', () => {
    const base = layer('0', dir('d'), file('d/old'));
    const v = view(base, layer('1', dir('d', { opaque: true }), file('d/new')));
    assert.deepEqual(v.list(bytePath('d')), ['new']);
    assert.equal(v.lookup(bytePath('d'))?.type, 'directory');
    assert.ok(
      !('opaque' in (v.lookup(bytePath('d')) ?? {})),
      'what is read from a view can be written to a layer',
    );
  });

  it('applies an opaque root', () => {
    const v = view(layer('0', file('old')), layer('1', dir('', { opaque: true }), file('new')));
    assert.deepEqual(v.list(bytePath('')), ['new']);
  });

  it('replaces a directory by a file and a file by a directory', () => {
    const v = view(
      layer('0', dir('d'), file('d/x'), file('f')),
      layer('1', file('d'), dir('f'), file('f/y')),
    );
    assert.equal(v.lookup(bytePath('d'))?.type, 'file');
    assert.equal(v.lookup(bytePath('d/x')), undefined);
    assert.equal(text(v, 'f/y'), 'f/y@1');
  });

  it('does not confuse a directory with its neighbours in byte order', () => {
    const v = view(layer('0', file('a-b'), dir('a'), file('a/z'), file('a0')));
    assert.deepEqual(v.list(bytePath('')), ['a', 'a-b', 'a0']);
    assert.deepEqual(v.list(bytePath('a')), ['z']);
  });

  it('keeps what a lower layer says about a directory that a higher one only passes through', () => {
    const v = view(layer('0', dir('d', { mode: 0o1777 })), layer('1', file('d/x')));
    assert.equal(v.lookup(bytePath('d'))?.mode, 0o1777);
  });

  it('puts a file below a symlinked directory where the link leads', () => {
    const base = layer(
      '0',
      dir('run'),
      dir('var'),
      link('var/run', '/run'),
      dir('usr'),
      dir('usr/bin'),
      link('bin', 'usr/bin'),
    );
    const v = view(base, layer('1', file('var/run/pid'), file('bin/tool'), gone('bin/no')));
    assert.equal(text(v, 'run/pid'), 'var/run/pid@1');
    assert.equal(v.lookup(bytePath('usr/bin/tool'))?.path, 'usr/bin/tool');
    assert.equal(v.lookup(bytePath('bin'))?.type, 'symlink');
    assert.equal(v.lookup(bytePath('var/run/pid')), undefined);
  });

  it('shows hard links as one file and links to its first name', () => {
    const v = view(layer('0', file('b'), hard('a', 'b'), hard('c', 'b')));
    assert.equal(v.lookup(bytePath('a'))?.type, 'file');
    assert.equal(v.lookup(bytePath('b'))?.linkTarget, 'a');
    assert.equal(text(v, 'c'), 'b@0');
  });

  it('keeps a hard link whole when its first name is replaced or deleted above', () => {
    const base = layer('0', file('a'), hard('b', 'a'), hard('c', 'a'));
    const v = view(base, layer('1', file('a')), layer('2', gone('b')));
    assert.equal(text(v, 'a'), 'a@1');
    assert.equal(v.lookup(bytePath('c'))?.type, 'file');
    assert.equal(text(v, 'c'), 'a@0');
  });

  it('links to a file of a lower layer, also by way of another link', () => {
    const v = view(layer('0', dir('d'), file('d/f')), layer('1', hard('a', 'b'), hard('b', 'd/f')));
    assert.equal(text(v, 'a'), 'd/f@0');
    assert.equal(v.lookup(bytePath('d/f'))?.linkTarget, 'a');
  });

  for (const [what, layers] of [
    ['nothing', [layer('0', hard('a', 'nothing'))]],
    ['itself', [layer('0', hard('a', 'a'))]],
    ['a directory', [layer('0', dir('d'), hard('a', 'd'))]],
    ['a deleted file', [layer('0', file('f')), layer('1', gone('f'), hard('a', 'f'))]],
    ['a link that names it', [layer('0', hard('a', 'b'), hard('b', 'a'))]],
  ] as const) {
    it(`refuses a hard link to ${what}`, () => {
      assert.throws(
        () => view(...layers).lookup(bytePath('a')),
        (e: unknown) => e instanceof BuildError && e.code === 'integrity' && /"a"/.test(e.message),
      );
    });
  }

  it('hashes a file once, whatever its names', async () => {
    const v = view(layer('0', file('a'), hard('b', 'a'), file('c')), layer('1', file('d')));
    const entries = ['d', 'a', 'b', 'c'].flatMap(p => v.lookup(bytePath(p)) ?? []);
    hashed = 0;
    const expected = ['d@1', 'a@0', 'a@0', 'c@0'].map(content => digestOf(content));
    assert.deepEqual(await v.contentDigests(entries), expected);
    assert.equal(hashed, 3);
  });

  it('takes the digests that a layer knows already', async () => {
    const known = digestOf('known');
    const index: LayerIndex = {
      ...layer('0', file('a')),
      digests: async entries => entries.map(() => known),
    };
    const v = view(index);
    const entry = v.lookup(bytePath('a'));
    assert.deepEqual(await v.contentDigests(entry ? [entry] : []), [known]);
  });
});

describe('resolving a path in a view', () => {
  const v = view(
    layer(
      '0',
      dir('usr'),
      dir('usr/bin'),
      file('usr/bin/sh'),
      link('bin', 'usr/bin'),
      link('abs', '/usr/bin/sh'),
      link('up', '../../../../usr'),
      link('usr/dots', '../bin/../lib'),
      dir('usr/lib'),
      link('loop', 'loop'),
      link('dead', 'nowhere'),
      link('file-as-dir', 'usr/bin/sh/'),
      ...Array.from({ length: 42 }, (_, i) => link(`c${i}`, i === 0 ? 'usr' : `c${i - 1}`)),
    ),
  );
  const cases: [string, string | undefined][] = [
    ['', ''],
    ['usr/bin/sh', 'usr/bin/sh'],
    ['bin/sh', 'usr/bin/sh'],
    ['abs', 'usr/bin/sh'],
    ['up', 'usr'],
    ['usr/dots', 'usr/lib'],
    ['dead', undefined],
    ['bin/none', undefined],
    ['usr/bin/sh/x', undefined],
    ['file-as-dir', undefined],
    ['c39', 'usr'],
  ];
  for (const [path, expected] of cases) {
    it(`takes /${path} to ${expected === undefined ? 'nothing' : `/${expected}`}`, () => {
      assert.equal(v.resolve(bytePath(path)), expected);
    });
  }
  for (const path of ['loop', 'c40', 'loop/x']) {
    it(`says that /${path} takes too many links`, () => {
      assert.throws(() => v.resolve(bytePath(path)), /too many symbolic links/);
    });
  }
});
