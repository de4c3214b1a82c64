import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type SelectedFile, selectionDigest } from '../../src/cache/checksum.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { BytePath, Entry } from '../../src/tree/entry.ts';

function file(path: string, change: Partial<Entry> = {}, content = digestOf('x')): SelectedFile {
  const entry: Entry = {
    path: 'somewhere/else' as BytePath,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSec: 1,
    mtimeNsec: 2,
    size: 1,
    ...change,
  };
  return { path: path as BytePath, entry, ...(entry.type === 'file' ? { content } : {}) };
}

const digest = (...files: SelectedFile[]) => selectionDigest(files, { owners: true });

describe('the digest of a selection', () => {
  it('changes with everything that ends up in a layer', () => {
    const link = { type: 'symlink', linkTarget: 'x' } as const;
    const device = { type: 'char', devMajor: 1, devMinor: 3 } as const;
    const digests = [
      digest(),
      digest(file('a')),
      digest(file('b')),
      digest(file('a', {}, digestOf('y'))),
      digest(file('a', { mode: 0o755 })),
      digest(file('a', { mode: 0o4644 })),
      digest(file('a', { uid: 1 })),
      digest(file('a', { gid: 1 })),
      digest(file('a', { xattrs: { 'user.a': '1' } })),
      digest(file('a', { xattrs: { 'user.a': '2' } })),
      digest(file('a', { xattrs: { 'user.b': '1' } })),
      digest(file('a', { type: 'directory' })),
      digest(file('a', { type: 'fifo' })),
      digest(file('a', link)),
      digest(file('a', { ...link, linkTarget: 'y' })),
      digest(file('a', { type: 'hardlink', linkTarget: 'x' })),
      digest(file('a', device)),
      digest(file('a', { ...device, devMinor: 4 })),
      digest(file('a'), file('b')),
      digest(file('a'), file('caf\xe9')),
    ];
    assert.equal(new Set(digests).size, digests.length);
  });

  it('does not change with times, with where the file came from, or with the order', () => {
    assert.equal(digest(file('a', { mtimeSec: 9, mtimeNsec: 9 })), digest(file('a')));
    assert.equal(digest(file('a', { path: 'x' as BytePath })), digest(file('a')));
    assert.equal(digest(file('b'), file('a')), digest(file('a'), file('b')));
    const xattrs = { 'user.b': '2', 'user.a': '1' };
    assert.equal(
      digest(file('a', { xattrs })),
      digest(file('a', { xattrs: { 'user.a': '1', 'user.b': '2' } })),
    );
  });

  it('does not change with the mode of a symlink, which has no meaning', () => {
    const link = { type: 'symlink', linkTarget: 'x' } as const;
    assert.equal(digest(file('a', { ...link, mode: 0o777 })), digest(file('a', { ...link, mode: 0o755 })));
  });

  it('leaves owners out when they are replaced anyway', () => {
    const without = (uid: number) => selectionDigest([file('a', { uid })], { owners: false });
    assert.equal(without(0), without(1));
  });

  it('takes the later of two files with one path, as writing them would', () => {
    assert.equal(digest(file('a', {}, digestOf('old')), file('a')), digest(file('a')));
  });

  it('cannot be fooled by names that hold what stands between fields', () => {
    const a = digest(file('a', { type: 'symlink', linkTarget: 'b0:0:1:0' }));
    const b = digest(file('a', { type: 'symlink', linkTarget: 'b' }));
    assert.notEqual(a, b);
    assert.notEqual(digest(file('1:a')), digest(file('a')));
  });

  it('refuses a file whose content was not hashed', () => {
    const { content: _, ...bare } = file('a');
    assert.throws(() => digest(bare), { code: 'internal' });
  });
});
