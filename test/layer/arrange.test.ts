import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arrange } from '../../src/layer/arrange.ts';
import type { BytePath, LayerEntry, LayerInput } from '../../src/tree/entry.ts';

function input(path: string, more: Partial<LayerEntry> = {}): LayerInput {
  const common = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0, size: 0 } as const;
  const entry: LayerEntry = { type: 'file', ...common, ...more, path: path as BytePath };
  return entry.type === 'file' ? { entry, content: { kind: 'bytes', bytes: Buffer.from(path) } } : { entry };
}

const shape = (inputs: readonly LayerInput[]) =>
  inputs.map(({ entry, content }) =>
    [entry.path, entry.type, entry.linkTarget, content?.kind === 'bytes' ? String(content.bytes) : '']
      .join(' ')
      .trim(),
  );

describe('arranging a layer', () => {
  it('sorts by bytes whatever the order of the input, parents first', () => {
    const inputs = [input('a', { type: 'directory' }), input('a/b'), input('a-b'), input('\xff'), input('Z')];
    const sorted = ['Z', 'a', 'a-b', 'a/b', '\xff'];
    assert.deepEqual(
      arrange(inputs).map(i => i.entry.path),
      sorted,
    );
    assert.deepEqual(
      arrange(inputs.reverse()).map(i => i.entry.path),
      sorted,
    );
  });

  it('lets the last of equal paths count', () => {
    assert.deepEqual(
      arrange([input('a', { mode: 1 }), input('a', { mode: 2 })]).map(i => i.entry.mode),
      [2],
    );
  });

  it('gives the bytes of a file with several names to the first of them', () => {
    const link = (path: string, linkTarget: string) => input(path, { type: 'hardlink', linkTarget });
    assert.deepEqual(shape(arrange([input('m'), link('z', 'm'), link('a', 'z'), link('b', 'm')])), [
      'a file  m',
      'b hardlink a',
      'm hardlink a',
      'z hardlink a',
    ]);
  });

  it('keeps a symlink with two names one symlink', () => {
    const inputs = [
      input('b', { type: 'symlink', linkTarget: '/x' }),
      input('a', { type: 'hardlink', linkTarget: 'b' }),
    ];
    assert.deepEqual(shape(arrange(inputs)), ['a symlink /x', 'b hardlink a']);
  });

  it('refuses a link to a file that is not there, and links in a circle', () => {
    const link = (path: string, linkTarget: string) => input(path, { type: 'hardlink', linkTarget });
    assert.throws(() => arrange([link('a', 'none')]), /"a" names a file that is not in the layer/);
    assert.throws(() => arrange([link('a', 'b'), link('b', 'a')]), /names a file that is not in the layer/);
  });

  it('gives symlinks the mode that Linux shows', () => {
    const [link] = arrange([input('l', { type: 'symlink', linkTarget: 'x', mode: 0o644 })]);
    assert.equal(link?.entry.mode, 0o777);
  });

  it('refuses a file that would read as a whiteout', () => {
    assert.throws(() => arrange([input('d/.wh.x')]), /\.wh\./);
  });

  it('clamps times that are later, and only these', () => {
    const times = [
      input('a', { mtimeSec: -5 }),
      input('b', { mtimeSec: 100, mtimeNsec: 1 }),
      input('c', { mtimeSec: 101 }),
    ];
    assert.deepEqual(
      arrange(times, 100).map(({ entry }) => [entry.mtimeSec, entry.mtimeNsec]),
      [
        [-5, 0],
        [100, 0],
        [100, 0],
      ],
    );
  });
});
