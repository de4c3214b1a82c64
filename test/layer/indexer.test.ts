import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { decodeIndex, encodeIndex } from '../../src/layer/index-file.ts';
import { type IndexedEntry, Indexer } from '../../src/layer/indexer.ts';
import type { BytePath, Entry } from '../../src/tree/entry.ts';
import { type TarSpec, tarBytes } from '../support/layer-tar.ts';

const file = (path: string, text = path): TarSpec => ({ path, text });
const dir = (path: string): TarSpec => ({ path, type: 'directory' });
const hard = (path: string, linkTarget: string): TarSpec => ({ path, type: 'hardlink', linkTarget });

function indexOf(...specs: TarSpec[]): { list: IndexedEntry[]; tar: Buffer } {
  const tar = tarBytes(...specs);
  const indexer = new Indexer();
  const reader = new TarReader(indexer);
  reader.push(tar);
  reader.finish();
  return { list: indexer.entries(), tar };
}

const shape = (list: readonly IndexedEntry[]) =>
  list.map(({ entry: e }) =>
    [e.path, e.type, e.linkTarget, e.opaque ? 'opaque' : ''].filter(Boolean).join(' '),
  );

describe('the index of a tar', () => {
  it('says where each content is', () => {
    const { list, tar } = indexOf(dir('d'), file('d/a', 'hello'), file('b', 'x'.repeat(1000)));
    const texts = list.map(({ entry, offset }) =>
      offset < 0 ? '' : tar.toString('latin1', offset, offset + entry.size),
    );
    assert.deepEqual(texts, ['x'.repeat(1000), '', 'hello']);
  });

  it('sorts, and lets the last entry of a name count', () => {
    const { list } = indexOf(file('z'), dir('a'), file('a/x'), file('z', 'new'));
    assert.deepEqual(shape(list), ['a directory', 'a/x file', 'z file']);
    assert.equal(list[2]?.entry.size, 3);
  });

  it('turns markers into whiteouts and opaque directories', () => {
    const { list } = indexOf(
      dir('d'),
      file('d/.wh..wh..opq', ''),
      file('.wh.gone', ''),
      file('e/.wh..wh..opq', ''),
    );
    assert.deepEqual(shape(list), ['d directory opaque', 'e directory opaque', 'gone whiteout']);
  });

  it('makes an opaque directory of one that is hidden and filled again', () => {
    for (const specs of [
      [file('.wh.d', ''), dir('d'), file('d/x')],
      [dir('d'), file('d/x'), file('.wh.d', '')],
      [file('d/x'), file('.wh.d', '')],
    ]) {
      assert.deepEqual(shape(indexOf(...specs).list), ['d directory opaque', 'd/x file']);
    }
  });

  it('needs no whiteout for a name that the layer brings as a file', () => {
    assert.deepEqual(shape(indexOf(file('.wh.f', ''), file('f')).list), ['f file']);
  });

  it('forgets what was in a directory that became something else', () => {
    assert.deepEqual(shape(indexOf(dir('d'), file('d/x'), file('d')).list), ['d file']);
  });

  it('leads a link to a link to the file', () => {
    assert.deepEqual(shape(indexOf(file('c'), hard('b', 'c'), hard('a', 'b')).list), [
      'a hardlink c',
      'b hardlink c',
      'c file',
    ]);
  });

  it('keeps the file of a link whose first name was written anew', () => {
    const { list, tar } = indexOf(file('f', 'old'), hard('g', 'f'), hard('h', 'f'), file('f', 'newer'));
    assert.deepEqual(shape(list), ['f file', 'g file', 'h hardlink g']);
    const [f, g] = list;
    assert.equal(tar.toString('latin1', f?.offset, (f?.offset ?? 0) + 5), 'newer');
    assert.equal(tar.toString('latin1', g?.offset, (g?.offset ?? 0) + 3), 'old');
  });

  it('leaves a link to a file of the layers below as it is', () => {
    assert.deepEqual(shape(indexOf(hard('a', 'below')).list), ['a hardlink below']);
  });

  it('holds the user database', () => {
    const { list } = indexOf(file('etc/passwd', 'root:x:0:0::/root:/bin/sh\n'), file('etc/other'));
    const inline = list.map(item => item.inline && Buffer.from(item.inline).toString());
    assert.deepEqual(inline, [undefined, 'root:x:0:0::/root:/bin/sh\n']);
  });

  it('puts contents that are not in one piece aside', () => {
    const written: (string | number)[] = [];
    let position = 10;
    const indexer = new Indexer({
      get position() {
        return position;
      },
      write(chunk) {
        written.push(Buffer.from(chunk).toString());
        position += chunk.length;
      },
      skip(count) {
        written.push(count);
        position += count;
      },
    });
    const entry: Entry = {
      path: 'log' as BytePath,
      type: 'file',
      mode: 0,
      uid: 0,
      gid: 0,
      mtimeSec: 0,
      mtimeNsec: 0,
      size: 7,
    };
    indexer.entry(entry, -1);
    indexer.zeros(3);
    indexer.data(Buffer.from('abcd'));
    assert.deepEqual(written, [3, 'abcd']);
    assert.deepEqual(indexer.entries(), [{ entry, offset: -1, sparseOffset: 10 }]);
  });
});

describe('an index file', () => {
  const full: IndexedEntry[] = [
    {
      entry: {
        path: 'a\xff\xfe/dev' as BytePath,
        type: 'char',
        mode: 0o6755,
        uid: 4294967294,
        gid: 2097152,
        mtimeSec: -1,
        mtimeNsec: 999999999,
        size: 0,
        devMajor: 4,
        devMinor: 1,
        xattrs: { 'security.capability': '\x00\x80\xff' },
      },
      offset: -1,
      sparseOffset: -1,
    },
    ...indexOf(dir('b'), file('b/.wh..wh..opq', ''), file('b/x'), hard('b/y', 'b/x'), file('.wh.z', '')).list,
  ];

  it('gives back what was put in', () => {
    assert.deepEqual(decodeIndex(encodeIndex(full)), full);
    assert.deepEqual(decodeIndex(encodeIndex([])), []);
  });

  it('is nothing when any byte of it is wrong or missing', () => {
    const bytes = encodeIndex(full);
    for (let i = 0; i < bytes.length; i += 7) {
      const damaged = Buffer.from(bytes);
      damaged[i] = (damaged[i] ?? 0) ^ 1;
      assert.equal(decodeIndex(damaged), undefined, `byte ${i}`);
      assert.equal(decodeIndex(bytes.subarray(0, i)), undefined, `first ${i} bytes`);
    }
  });
});
