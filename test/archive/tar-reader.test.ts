// The tar reader: what it understands, what it refuses. Rows of the security catalogue are named by their id.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { BuildError } from '../../src/errors.ts';
import {
  archive,
  directory,
  end,
  file,
  hardlink,
  header,
  longName,
  only,
  padded,
  pax,
  readAll,
  record,
  symlink,
} from '../support/tar-bytes.ts';

const gnu = 'ustar  \0';

const names = (bytes: Buffer): string[] => readAll(bytes).map(entry => entry.path);

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

describe('TarReader reads', () => {
  it('all types of an image with their fields', () => {
    const entries = readAll(
      archive(
        directory('a/', { mode: 0o1777, uid: 1, gid: 2, mtime: 1700000000 }),
        file('a/f', 'hello', { mode: 0o4755 }),
        symlink('a/s', '../x'),
        hardlink('a/h', 'a/f'),
        header({ name: 'a/c', type: '3', major: 5, minor: 1 }),
        header({ name: 'a/b', type: '4', major: 0xfff, minor: 0xfffff }),
        header({ name: 'a/p', type: '6' }),
        file('a/7', 'x', { type: '7' }),
      ),
    );
    assert.deepEqual(
      entries.map(e => [e.path, e.type]),
      [
        ['a', 'directory'],
        ['a/f', 'file'],
        ['a/s', 'symlink'],
        ['a/h', 'hardlink'],
        ['a/c', 'char'],
        ['a/b', 'block'],
        ['a/p', 'fifo'],
        ['a/7', 'file'],
      ],
    );
    const [dir, regular, link, hard, char, block] = entries;
    assert.deepEqual(
      [dir?.mode, dir?.uid, dir?.gid, dir?.mtimeSec, dir?.mtimeNsec],
      [0o1777, 1, 2, 1700000000, 0],
    );
    assert.equal(regular?.mode, 0o4755);
    assert.equal(regular?.content.toString(), 'hello');
    assert.equal(link?.linkTarget, '../x');
    assert.equal(hard?.linkTarget, 'a/f');
    assert.deepEqual(
      [char?.devMajor, char?.devMinor, block?.devMajor, block?.devMinor],
      [5, 1, 0xfff, 0xfffff],
    );
  });
  it('where the content of a file begins in the stream', () => {
    const bytes = archive(file('a', 'one'), file('b', 'two'), file('c'));
    for (const entry of readAll(bytes)) {
      assert.equal(
        bytes.toString('latin1', entry.offset, entry.offset + entry.size),
        entry.content.toString(),
      );
    }
  });
  it('v7 archives, which have no magic, and their directories (B-10)', () => {
    const v7 = { magic: '', type: '\0' };
    const entries = readAll(
      archive(header({ name: 'd/', ...v7 }), file('d/f', 'x', v7), symlink('l', 'd', { magic: '' })),
    );
    assert.deepEqual(
      entries.map(e => e.type),
      ['directory', 'file', 'symlink'],
    );
  });
  it('a ustar prefix, a star prefix, and an old Go prefix under GNU magic', () => {
    const prefix = 'p/'.repeat(70).slice(0, -1);
    assert.equal(only(archive(file('n', '', { prefix }))).path, `${prefix}/n`);
    const star: [number, Buffer][] = [
      [508, Buffer.from('tar\0')],
      [476, Buffer.from('12345670123')],
    ];
    assert.equal(only(archive(file('n', '', { prefix: 'short', patch: star }))).path, 'short/n');
    assert.equal(only(archive(file('n', '', { prefix: 'some/dir', magic: gnu }))).path, 'some/dir/n');
    // Times in the same place are no prefix.
    const times = { prefix: '14371573220\0', magic: gnu };
    assert.equal(only(archive(file('n', '', times))).path, 'n');
  });
  it('long names and link targets of GNU and PAX', () => {
    const name = `${'d'.repeat(200)}/${'n'.repeat(200)}`;
    const target = 't'.repeat(300);
    assert.equal(only(archive(longName(name), file('short', 'x', { magic: gnu }))).path, name);
    const gnuLink = only(
      archive(longName(target, 'K'), longName(name), symlink('s', 'short', { magic: gnu })),
    );
    assert.deepEqual([gnuLink.path, gnuLink.linkTarget], [name, target]);
    const paxLink = only(
      archive(pax(record('path', name) + record('linkpath', target)), symlink('s', 'short')),
    );
    assert.deepEqual([paxLink.path, paxLink.linkTarget], [name, target]);
  });
  it('ids, times and sizes of PAX (B-11)', () => {
    const body = ['uid', 'gid', 'size']
      .map((key, i) => record(key, String([4294967294, 3000000, 5][i])))
      .join('');
    const entry = only(
      archive(pax(body + record('mtime', '1700000000.123456789')), header({ name: 'f' }), padded('hello')),
    );
    assert.deepEqual(
      [entry.uid, entry.gid, entry.size, entry.mtimeSec, entry.mtimeNsec],
      [4294967294, 3000000, 5, 1700000000, 123456789],
    );
    assert.equal(entry.content.toString(), 'hello');
  });
  it('times before 1970 and fractions of them (B-19)', () => {
    const time = (text: string): number[] => {
      const entry = only(archive(pax(record('mtime', text)), file('f')));
      return [entry.mtimeSec, entry.mtimeNsec];
    };
    assert.deepEqual(time('-1'), [-1, 0]);
    assert.deepEqual(time('-1.5'), [-2, 500000000]);
    assert.deepEqual(time('-0.25'), [-1, 750000000]);
    assert.deepEqual(time('0.0000000019'), [0, 1]);
    assert.deepEqual(time('4102444800.'), [4102444800, 0]);
    const negative = Buffer.alloc(12, 0xff);
    assert.equal(only(archive(file('f', '', { mtime: negative }))).mtimeSec, -1);
  });
  it('base-256 numbers of GNU', () => {
    const uid = Buffer.from([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]);
    assert.equal(only(archive(file('f', '', { uid, magic: gnu }))).uid, 4294967294);
    const size = Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    assert.equal(only(archive(header({ name: 'f', size }), padded('12345'))).content.toString(), '12345');
  });
  it('numbers with spaces and NULs around, as old tars wrote them', () => {
    const entry = only(
      archive(file('f', 'xyz', { size: '          3 ', uid: '   12 \0', mode: '   644 \0' })),
    );
    assert.deepEqual([entry.size, entry.uid, entry.mode], [3, 0o12, 0o644]);
  });
  it('attribute values byte for byte (B-11)', () => {
    const capability = '\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff';
    const body =
      record('SCHILY.xattr.security.capability', capability) + record('SCHILY.xattr.user.empty', '');
    const entry = only(archive(pax(body), file('f')));
    assert.deepEqual(entry.xattrs, { 'security.capability': capability, 'user.empty': '' });
  });
  it('names that are no UTF-8, each for itself (B-13)', () => {
    assert.deepEqual(names(archive(file('a\xff'), file('a\xfe'), file('e\xcc\x81'), file('\xc3\xa9'))), [
      'a\xff',
      'a\xfe',
      'e\xcc\x81',
      '\xc3\xa9',
    ]);
  });
  it('names cleaned: leading slashes, dots, doubled and trailing slashes (B-12)', () => {
    const odd = [
      '/abs',
      './rel',
      '//a//b',
      'c/./d',
      'e/',
      '.',
      './',
      '/',
      '-n',
      'new\nline',
      '.wh.x',
      '..a',
      'b..',
      '...',
    ];
    const types = odd.map(name => (name.endsWith('/') || name === '.' ? directory(name) : file(name)));
    assert.deepEqual(names(archive(...types)), [
      'abs',
      'rel',
      'a/b',
      'c/d',
      'e',
      '',
      '',
      '',
      '-n',
      'new\nline',
      '.wh.x',
      '..a',
      'b..',
      '...',
    ]);
  });
  it('an absolute hard link target as one in the root (EX-08)', () => {
    assert.equal(only(archive(hardlink('a', '/usr/./bin/x'))).linkTarget, 'usr/bin/x');
  });
  it('backslashes and colons as ordinary bytes (EX-20)', () => {
    const odd = ['..\\..\\x', 'C:\\x', 'a:b', 'CON'];
    assert.deepEqual(names(archive(...odd.map(name => file(name)))), odd);
  });
  it('global headers as containerd does: checked and ignored', () => {
    const global = pax(record('path', 'evil') + record('comment', 'x'), 'g');
    assert.deepEqual(names(archive(global, file('f'), global, file('g'))), ['f', 'g']);
  });
  it('the signed checksums of old tars', () => {
    const block = header({ name: 'caf\xe9' });
    let sum = 256;
    for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += block.readInt8(i);
    const signed = header({ name: 'caf\xe9', checksum: `${sum.toString(8).padStart(6, '0')}\0 ` });
    assert.equal(only(archive(signed)).path, 'caf\xe9');
  });
});

describe('TarReader at the end of an archive (B-09)', () => {
  const one = file('a', 'content');
  it("stops at two zero blocks: what follows is nobody else's entry", () => {
    assert.deepEqual(names(Buffer.concat([one, end, file('ghost', 'x')])), ['a']);
    assert.deepEqual(names(Buffer.concat([one, end, Buffer.from('garbage of any length')])), ['a']);
  });
  it('accepts a missing marker, half a marker and missing padding', () => {
    for (const tail of [0, 512, 1024])
      assert.deepEqual(names(Buffer.concat([one, Buffer.alloc(tail)])), ['a']);
    assert.deepEqual(names(one.subarray(0, 512 + 7)), ['a']);
    assert.deepEqual(names(Buffer.concat([one, Buffer.alloc(100)])), ['a']);
    assert.deepEqual(names(Buffer.alloc(0)), []);
  });
  it('refuses an entry after a single zero block', () => {
    refuses(Buffer.concat([one, Buffer.alloc(512), file('ghost')]), /half an end marker/);
  });
  it('refuses an archive cut inside a header, a content or after an extended header', () => {
    const whole = Buffer.concat([pax(record('uid', '5')), one]);
    for (const length of [100, 511, 512, 600, 1024, 1030, 1536, 1540]) {
      refuses(whole.subarray(0, length), /truncated/);
    }
    refuses(Buffer.concat([longName('x'), end]), /ends after an extended header/);
  });
  it('calls end once, and says that it ended', () => {
    let ends = 0;
    const reader = new TarReader({ entry: () => {}, data: () => {}, end: () => ends++ });
    reader.push(archive(one));
    assert.ok(reader.ended);
    assert.equal(ends, 0);
    reader.finish();
    assert.equal(ends, 1);
  });
});

describe('TarReader refuses', () => {
  it('names that leave the root, also hard link targets (EX-04)', () => {
    for (const name of ['..', '../x', 'a/../../x', '/..', './../x', 'a/..', 'a/../b']) {
      refuses(archive(file(name)), /leaves the root/, 'hostile');
      refuses(archive(hardlink('h', name)), /leaves the root/, 'hostile');
    }
    refuses(archive(pax(record('path', '../x')), file('ok')), /leaves the root/, 'hostile');
    refuses(archive(longName('../x'), file('ok', '', { magic: gnu })), /leaves the root/, 'hostile');
  });
  it('to replace the root (EX-05)', () => {
    for (const name of ['', '.', './', '/', '//', '/.']) {
      refuses(archive(symlink(name, '/etc')), /replace the root/, 'hostile');
      refuses(archive(file(name)), /replace the root/, 'hostile');
    }
    refuses(archive(hardlink('a', '/')), /names the root/, 'hostile');
  });
  it('a hard link to itself (B-15)', () => refuses(archive(hardlink('a', './a')), /names itself/));
  it('wrong checksums', () => {
    refuses(archive(file('f', '', { checksum: '000000\0 ' })), /wrong checksum/);
    refuses(archive(file('f', '', { checksum: '99' })), /wrong checksum/);
    refuses(Buffer.alloc(512, 'x'), /wrong checksum/);
  });
  it('sizes that are no number (B-07)', () => {
    for (const size of ['12x', '9', '1e3', '-5', '0x10', '7 7'])
      refuses(archive(header({ name: 'f', size })), /not a number/);
    for (const first of [0x81, 0xc0, 0xfe]) {
      refuses(
        archive(header({ name: 'f', size: Buffer.from([first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) })),
        /not a number/,
      );
    }
    const huge = Buffer.from([0x80, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    refuses(archive(header({ name: 'f', size: huge })), /not a number/);
    refuses(archive(header({ name: 'f', size: Buffer.alloc(12, 0xff) })), /negative size/);
    for (const type of ['L', 'x'])
      refuses(archive(header({ name: 'f', type, size: Buffer.alloc(12, 0xff) })), /negative size/);
    for (const size of ['1e3', '-5', '0x10', '9007199254740992', '+5', ' 5', '5.0']) {
      refuses(archive(pax(record('size', size)), file('f')), /not a number/);
    }
  });
  it('content on types that have none, which would hide an entry (B-08)', () => {
    for (const type of ['1', '2', '3', '4', '5', '6']) {
      const hiding = header({ name: 'x', type, link: 'y', size: 512 });
      refuses(archive(hiding, file('hidden')), /claims to have content/);
      refuses(
        archive(pax(record('size', '512')), header({ name: 'x', type, link: 'y' }), file('hidden')),
        /claims to have content/,
      );
    }
  });
  it('a size of PAX does not apply to the headers in between (NP-02)', () => {
    const bytes = archive(
      pax(record('size', '3')),
      longName('real'),
      header({ name: 'f', magic: gnu }),
      padded('abc'),
      file('z'),
    );
    assert.deepEqual(names(bytes), ['real', 'z']);
  });
  it('malformed PAX records (B-06)', () => {
    const good = record('path', 'evil');
    const bad = [
      '99 path=evil\n',
      '5 path=evil\n',
      '0 path=evil\n',
      '-13 path=evil\n',
      '+13 path=evil\n',
      'aa path=evil\n',
      `${'1'.repeat(20)} path=evil\n`,
      '13path=evil\n\n',
      '8 =evil\n',
      '8 patho\n',
      `${good}x`,
      `${good}\0\0\0`,
      ' 13 path=evil\n',
      record('path', 'a\0b'),
      record('linkpath', 'a\0b'),
      record('uid', '1x'),
      record('mtime', '1e15'),
      record('mtime', 'NaN'),
      record('mtime', '99999999999999999'),
    ];
    for (const body of bad) refuses(archive(pax(body), file('f')), /extended header/);
    refuses(archive(pax('99 path=evil\n', 'g'), file('f')), /extended header/);
  });
  it('too much of headers for one entry (EX-15)', () => {
    const comment = (bytes: number) => pax(record('comment', 'x'.repeat(bytes)));
    const over = 1024 * 1024;
    assert.deepEqual(names(archive(comment(over - 100), file('f'))), ['f']);
    refuses(archive(comment(over), file('f')), /1048576 bytes of headers/);
    refuses(archive(header({ name: 'x', type: 'x', size: 1024 ** 3 })), /1048576 bytes of headers/);
    refuses(archive(header({ name: 'x', type: 'L', size: 8 * 1024 ** 3 - 1 })), /1048576 bytes of headers/);
    const global = pax('', 'g');
    refuses(Buffer.concat(Array.from({ length: 3000 }, () => global)), /1048576 bytes of headers/);
  });
  it('doubled extended headers and two sources of one name', () => {
    const attributes = pax(record('uid', '5'));
    refuses(archive(attributes, attributes, file('f')), /two extended headers/);
    refuses(archive(longName('a'), longName('b'), file('f', '', { magic: gnu })), /two extended headers/);
    refuses(archive(longName('a'), pax(record('path', 'b')), file('f')), /both a GNU and a PAX name/);
    refuses(
      archive(longName('a', 'K'), pax(record('linkpath', 'b')), symlink('f', 'c')),
      /both a GNU and a PAX link/,
    );
  });
  it('owner ids that cannot be (B-11)', () => {
    refuses(archive(pax(record('uid', '4294967295')), file('f')), /out of range/);
    refuses(archive(file('f', '', { gid: Buffer.alloc(8, 0xff) })), /out of range/);
  });
  it('device numbers that cannot be (B-17)', () => {
    refuses(archive(header({ name: 'd', type: '3', major: 0x1000, minor: 0 })), /device number/);
    refuses(archive(header({ name: 'd', type: '4', major: 1, minor: 0x100000 })), /device number/);
    refuses(
      archive(header({ name: 'd', type: '4', major: Buffer.alloc(8, 0xff), minor: 0 })),
      /device number/,
    );
  });
  it('types that mean nothing in an image (B-10)', () => {
    for (const type of ['V', 'M', 'N', 'D', 'A', 'Z', '8', '\x1b'])
      refuses(archive(file('f', '', { type })), /unknown type/, 'unsupported');
    // S without GNU's magic has no map.
    refuses(archive(file('f', '', { type: 'S' })), /unknown type/, 'unsupported');
  });
  it('components over 255 bytes, but not paths over 4096 (B-12)', () => {
    refuses(archive(pax(record('path', 'x'.repeat(256))), file('f')), /255 bytes/);
    const deep = `${'d/'.repeat(5000)}f`;
    assert.equal(only(archive(pax(record('path', deep)), file('f'))).path, deep);
  });
  it('symlinks without a target or with one the kernel cannot hold', () => {
    refuses(archive(symlink('s', '')), /no target/);
    refuses(archive(pax(record('linkpath', 'x'.repeat(4096))), symlink('s', 'y')), /4095 bytes/);
  });
  it('attributes larger than the kernel allows (B-18)', () => {
    refuses(archive(pax(record('SCHILY.xattr.user.x', 'v'.repeat(65537))), file('f')), /64 KiB/);
    refuses(archive(pax(record(`SCHILY.xattr.user.${'n'.repeat(251)}`, 'v')), file('f')), /unusable name/);
  });
  it('names control characters in its messages visibly (B-33)', () => {
    assert.throws(
      () => readAll(archive(file('../\x1b]0;x\x07'))),
      (error: Error) => !/[\x1b\x07]/.test(error.message),
    );
  });
});
