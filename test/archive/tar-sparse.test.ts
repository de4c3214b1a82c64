// Sparse files in tar: every format expanded, every map that does not fit refused (B-10, EX-15).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { BuildError } from '../../src/errors.ts';
import { archive, file, header, only, padded, pax, readAll, record, symlink } from '../support/tar-bytes.ts';

const gnu = 'ustar  \0';

function refuses(bytes: Buffer, words: RegExp, code = 'integrity'): void {
  for (const step of [bytes.length, 512, 100]) {
    assert.throws(
      () => readAll(bytes, step),
      (error: unknown) => {
        assert.ok(error instanceof BuildError, String(error));
        assert.match(error.message, words);
        assert.equal(error.code, code);
        return true;
      },
    );
  }
}

describe('TarReader expands sparse files', () => {
  const octal = (value: number): Buffer => Buffer.from(`${value.toString(8).padStart(11, '0')}\0`);
  const map = (...numbers: number[]): Buffer => Buffer.concat(numbers.map(octal));
  const expected = Buffer.concat([
    Buffer.alloc(1000),
    Buffer.from('abc'),
    Buffer.alloc(997),
    Buffer.from('defgh'),
    Buffer.alloc(95),
  ]);

  function oldGnu(real: number, first: Buffer, stored: number, extended = false): Buffer {
    const patch: [number, Buffer][] = [
      [386, first],
      [482, Buffer.from([extended ? 1 : 0])],
      [483, octal(real)],
    ];
    return header({ name: 'sparse', type: 'S', size: stored, magic: gnu, patch });
  }

  it("of GNU's old type", () => {
    const entry = only(archive(oldGnu(2100, map(1000, 3, 2000, 5), 8), padded('abcdefgh')));
    assert.deepEqual([entry.type, entry.size, entry.offset], ['file', 2100, -1]);
    assert.ok(entry.content.equals(expected));
  });
  it("of GNU's old type with extension blocks", () => {
    const parts = Array.from({ length: 30 }, (_, i) => [i * 100, 1]);
    const extension = (from: number, more: boolean): Buffer => {
      const block = Buffer.alloc(512);
      map(...parts.slice(from, from + 21).flat()).copy(block);
      block[504] = more ? 1 : 0;
      return block;
    };
    const bytes = archive(
      oldGnu(3000, map(...parts.slice(0, 4).flat()), 30, true),
      extension(4, true),
      extension(25, false),
      padded('x'.repeat(30)),
      file('after'),
    );
    const [entry, after] = readAll(bytes);
    assert.equal(after?.path, 'after');
    assert.equal(entry?.size, 3000);
    assert.equal(entry?.content.filter(byte => byte === 0x78).length, 30);
    assert.deepEqual(readAll(bytes, 100), readAll(bytes));
  });
  for (const [format, body, before] of [
    [
      '0.0',
      record('GNU.sparse.size', '2100') +
        record('GNU.sparse.numblocks', '2') +
        [
          [1000, 3],
          [2000, 5],
        ]
          .map(([o, n]) => record('GNU.sparse.offset', String(o)) + record('GNU.sparse.numbytes', String(n)))
          .join(''),
      '',
    ],
    [
      '0.1',
      record('GNU.sparse.size', '2100') +
        record('GNU.sparse.numblocks', '2') +
        record('GNU.sparse.map', '1000,3,2000,5') +
        record('GNU.sparse.name', 'sparse'),
      '',
    ],
    [
      '1.0',
      record('GNU.sparse.major', '1') +
        record('GNU.sparse.minor', '0') +
        record('GNU.sparse.name', 'sparse') +
        record('GNU.sparse.realsize', '2100'),
      '2\n1000\n3\n2000\n5\n',
    ],
  ] as const) {
    it(`of PAX format ${format}`, () => {
      const stored = Buffer.concat([
        before === '' ? Buffer.alloc(0) : padded(before),
        Buffer.from('abcdefgh'),
      ]);
      const name = format === '0.0' ? 'sparse' : 'GNUSparseFile.0/sparse';
      const entry = only(archive(pax(body), file(name, stored)));
      assert.deepEqual([entry.path, entry.size, entry.offset], ['sparse', 2100, -1]);
      assert.ok(entry.content.equals(expected));
    });
  }
  it('with holes only, and reports them as holes to who asks', () => {
    const holes: number[] = [];
    const reader = new TarReader({
      entry: () => {},
      data: () => assert.fail('no data'),
      zeros: count => void holes.push(count),
    });
    reader.push(archive(oldGnu(4 * 1024 ** 3, map(1024 ** 3, 0), 0)));
    reader.finish();
    assert.deepEqual(holes, [4 * 1024 ** 3]);
  });
  it('but no map that is out of order, too long, or does not fit what is stored', () => {
    refuses(archive(oldGnu(2100, map(2000, 3, 1000, 5), 8), padded('abcdefgh')), /out of order/);
    refuses(archive(oldGnu(2100, map(1000, 3, 1001, 5), 8), padded('abcdefgh')), /out of order/);
    refuses(archive(oldGnu(2000, map(1000, 3, 2000, 5), 8), padded('abcdefgh')), /past its end/);
    refuses(archive(oldGnu(2100, map(1000, 3, 2000, 5), 9), padded('abcdefghi')), /does not match/);
    const v1 = (text: string) =>
      archive(
        pax(record('GNU.sparse.major', '1') + record('GNU.sparse.realsize', '9')),
        file('f', padded(text)),
      );
    refuses(v1('x\n'), /not a number/);
    refuses(v1('1\n0'), /no list of numbers/);
    refuses(v1(`1000\n${'1\n'.repeat(253)}`), /longer than its content/);
    refuses(v1('1'.repeat(600)), /not a number|no list of numbers/);
    refuses(
      archive(pax(record('GNU.sparse.map', '1,2,3') + record('GNU.sparse.size', '9')), file('f')),
      /ends in the middle/,
    );
    refuses(archive(pax(record('GNU.sparse.numbytes', '3')), file('f')), /out of order/);
    refuses(
      archive(pax(record('GNU.sparse.major', '2') + record('GNU.sparse.realsize', '9')), file('f')),
      /unknown/,
      'unsupported',
    );
  });
  it('and nothing else may be sparse', () => {
    refuses(
      archive(pax(record('GNU.sparse.name', 'evil') + record('GNU.sparse.size', '0')), symlink('s', 't')),
      /no file has a sparse map/,
    );
  });
  it('with a bounded map (EX-15)', () => {
    const block = Buffer.alloc(512);
    block[504] = 1;
    map(0, 0).copy(block);
    const blocks = Array.from({ length: 2100 }, () => block);
    refuses(Buffer.concat([oldGnu(10, map(0, 0), 0, true), ...blocks]), /bytes of headers/);
  });
  it('within the limit that was set', () => {
    const reader = new TarReader({ entry: () => {}, data: () => {} }, { entryBytes: 2099 });
    assert.throws(() => reader.push(archive(oldGnu(2100, map(1000, 3, 2000, 5), 8))), /over 2099 bytes/);
    const plain = new TarReader({ entry: () => {}, data: () => {} }, { entryBytes: 3 });
    assert.throws(() => plain.push(archive(file('f', 'four'))), /over 3 bytes/);
  });
});
