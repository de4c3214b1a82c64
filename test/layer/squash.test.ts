import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { LayerIndex } from '../../src/layer/layers.ts';
import { flatten, squashLayers } from '../../src/layer/squash.ts';
import { makeView } from '../../src/layer/view.ts';
import type { BytePath, LayerEntry, LayerInput } from '../../src/tree/entry.ts';

type Spec = Partial<Omit<LayerEntry, 'path'>> & { path: string };

function entryOf(spec: Spec): LayerEntry {
  const common = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size: 0 } as const;
  return { ...common, ...spec, path: spec.path as BytePath };
}

function layer(label: string, ...specs: Spec[]): LayerIndex {
  const entries = specs.map(entryOf).sort((a, b) => (a.path < b.path ? -1 : 1));
  return { entries, content: e => ({ kind: 'bytes', bytes: Buffer.from(`${e.path}@${label}`) }) };
}

/** A layer as it would be read back after it was written. */
function written(inputs: readonly LayerInput[]): LayerIndex {
  const contents = new Map(inputs.map(input => [input.entry.path, input.content]));
  return {
    entries: inputs.map(input => input.entry),
    content: entry => contents.get(entry.path) ?? { kind: 'bytes', bytes: Buffer.from('lost') },
  };
}

/** Everything that can be seen in a file system, hard links included. */
function picture(...layers: LayerIndex[]): unknown {
  return flatten(makeView(layers, 'a test')).map(({ entry, content }) => ({
    ...entry,
    content: content?.kind === 'bytes' ? Buffer.from(content.bytes).toString() : undefined,
  }));
}

const dir = (path: string, more: Partial<Spec> = {}): Spec => ({
  path,
  type: 'directory',
  mode: 0o755,
  ...more,
});
const file = (path: string): Spec => ({ path });
const gone = (path: string): Spec => ({ path, type: 'whiteout' });
const hard = (path: string, linkTarget: string): Spec => ({ path, type: 'hardlink', linkTarget });

describe('squashing layers', () => {
  const base = layer('0', dir('a'), file('a/x'), file('a/y'), dir('b'), file('b/z'), file('f'));

  it('lists what changed above the base, with parents and whiteouts, and nothing else', () => {
    const above = [
      layer('1', dir('a'), file('a/x'), gone('f')),
      layer('2', dir('a'), gone('a/y'), file('tmp')),
    ];
    const inputs = squashLayers([base, ...above, layer('3', gone('tmp'))], 1);
    assert.deepEqual(
      inputs.map(({ entry }) => `${entry.type} ${entry.path}`),
      ['directory a', 'file a/x', 'whiteout a/y', 'whiteout f'],
    );
  });

  it('names what is gone from a directory that was made anew', () => {
    const inputs = squashLayers(
      [base, layer('1', gone('b')), layer('2', dir('b', { mode: 0o700 }), file('b/new'))],
      1,
    );
    assert.deepEqual(
      inputs.map(({ entry }) => `${entry.type} ${entry.path}`),
      ['directory b', 'file b/new', 'whiteout b/z'],
    );
  });

  it('makes a file of a link to a file of the base', () => {
    const inputs = squashLayers([base, layer('1', hard('one', 'a/x'), hard('two', 'a/x'))], 1);
    assert.deepEqual(
      inputs.map(({ entry }) => [entry.path, entry.type, entry.linkTarget]),
      [
        ['one', 'file', undefined],
        ['two', 'hardlink', 'one'],
      ],
    );
  });

  it('gives the parents that a layer left out, as they are below', () => {
    const inputs = squashLayers([layer('0', dir('tmp', { mode: 0o1777 })), layer('1', file('tmp/x'))], 1);
    assert.deepEqual(
      inputs.map(({ entry }) => [entry.path, entry.mode.toString(8)]),
      [
        ['tmp', '1777'],
        ['tmp/x', '644'],
      ],
    );
  });

  it('makes the same file system as the layers it replaces', () => {
    const names = fc.constantFrom('a', 'b', 'a-b', 'c');
    const path = fc.array(names, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/'));
    const spec: fc.Arbitrary<Spec> = fc.oneof(
      path.map(file),
      path.map(p => dir(p)),
      path.map(gone),
      path.map(p => dir(p, { opaque: true })),
      path.map(p => ({ path: p, type: 'symlink' as const, linkTarget: 'nowhere' })),
    );
    const specs = fc
      .uniqueArray(spec, { selector: s => s.path, maxLength: 8 })
      // What stands below a file of the same layer would be no layer.
      .map(list =>
        list.filter(
          s =>
            !list.some(
              o => s.path.startsWith(`${o.path}/`) && o.type !== 'directory' && o.type !== 'whiteout',
            ),
        ),
      )
      .map(list =>
        list.filter(s => !list.some(o => s.path.startsWith(`${o.path}/`) && o.type === 'whiteout')),
      );
    fc.assert(
      fc.property(fc.array(specs, { minLength: 2, maxLength: 5 }), fc.nat(4), (lists, at) => {
        let layers: LayerIndex[];
        try {
          layers = lists.map((list, i) => layer(String(i), ...list));
          picture(...layers);
        } catch {
          return; // refused as a whole, such as an entry below a dead link
        }
        const count = Math.min(at, layers.length - 1);
        const squashed = written(squashLayers(layers, count));
        assert.deepEqual(picture(...layers.slice(0, count), squashed), picture(...layers));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('flattening a view', () => {
  it('lists everything in byte order, links after their file', () => {
    const view = makeView([layer('0', dir('a'), file('a/x'), file('a-b'), hard('z', 'a-b'))], 'a test');
    assert.deepEqual(
      flatten(view).map(({ entry }) => `${entry.path} ${entry.type}`),
      ['a directory', 'a-b file', 'a/x file', 'z hardlink'],
    );
  });
});
