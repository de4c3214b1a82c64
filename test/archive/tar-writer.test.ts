// The tar writer: the same entries give the same bytes, which GNU tar, Python and our reader understand alike.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TarWriter } from '../../src/archive/tar-writer.ts';
import { BuildError } from '../../src/errors.ts';
import type { BytePath, Entry } from '../../src/tree/entry.ts';
import { readAll } from '../support/tar-bytes.ts';

const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 1700000000, mtimeNsec: 0, size: 0 };

function entry(path: string, fields: Partial<Entry> = {}): Entry {
  return { ...plain, path: path as BytePath, type: 'file', ...fields };
}

function write(entries: readonly { readonly entry: Entry; readonly content?: Buffer }[]): Buffer {
  const chunks: Buffer[] = [];
  const writer = new TarWriter(chunk => void chunks.push(Buffer.from(chunk)));
  for (const { entry, content } of entries) {
    writer.entry(entry);
    if (content !== undefined) writer.data(content);
  }
  writer.finish();
  return Buffer.concat(chunks);
}

/** What Python's tarfile makes of an archive; names as latin1 bytes. */
function python(archive: Buffer): unknown[] {
  const script = `
import tarfile,sys,io,json
b=lambda s: s.encode('utf-8','surrogateescape').decode('latin1')
out=[]
for m in tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()),encoding='utf-8'):
    x={b(k[13:]):b(v) for k,v in m.pax_headers.items() if k.startswith('SCHILY.xattr.')}
    out.append([b(m.name),b(m.linkname),m.type.decode('latin1'),m.mode,m.uid,m.gid,m.size,int(m.mtime),m.devmajor,m.devminor,m.uname,m.gname,x])
print(json.dumps(out))`;
  const run = spawnSync('python3', ['-c', script], { input: archive, maxBuffer: 1 << 27 });
  assert.equal(run.status, 0, run.stderr.toString());
  return JSON.parse(run.stdout.toString());
}

const flags: Record<string, string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

function asPython({ entry }: { entry: Entry }): unknown {
  const device = [entry.devMajor ?? 0, entry.devMinor ?? 0];
  return [
    entry.path === '' ? '.' : entry.path,
    entry.linkTarget ?? '',
    flags[entry.type],
    entry.mode,
    entry.uid,
    entry.gid,
    entry.size,
    entry.mtimeSec,
    ...device,
    '',
    '',
    entry.xattrs ?? {},
  ];
}

describe('TarWriter', () => {
  it('writes plain ustar where that suffices, without names of users', () => {
    const bytes = write([
      { entry: entry('bin', { type: 'directory', mode: 0o755 }) },
      { entry: entry('bin/x', { size: 3 }), content: Buffer.from('abc') },
    ]);
    assert.equal(bytes.length, 512 * 5);
    assert.equal(bytes.toString('latin1', 0, 5), 'bin/\0');
    assert.equal(bytes.toString('latin1', 257, 265), 'ustar\x0000');
    assert.ok(bytes.subarray(265, 329).every(byte => byte === 0));
    assert.ok(bytes.subarray(-1024).every(byte => byte === 0));
  });
  it('uses the prefix field for names that split, an extended header for others', () => {
    const splits = `${'d'.repeat(150)}/${'n'.repeat(100)}`;
    assert.equal(write([{ entry: entry(splits) }]).length, 512 * 3);
    for (const name of ['n'.repeat(101), `${'d'.repeat(156)}/n`, 'caf\xc3\xa9', 'a\xff']) {
      const bytes = write([{ entry: entry(name) }]);
      assert.equal(bytes.toString('latin1', 156, 157), 'x', name);
      assert.equal(readAll(bytes)[0]?.path, name);
    }
  });
  it('drops the fraction of a time, never rounding up', () => {
    const read = (fields: Partial<Entry>) => readAll(write([{ entry: entry('f', fields) }]))[0];
    assert.equal(read({ mtimeSec: 5, mtimeNsec: 999_999_999 })?.mtimeSec, 5);
    assert.equal(read({ mtimeSec: -5, mtimeNsec: 999_999_999 })?.mtimeSec, -5);
    assert.equal(read({ mtimeSec: -5, mtimeNsec: 1 })?.mtimeNsec, 0);
  });
  it('sorts attributes, so that their order in memory changes nothing', () => {
    const one = write([{ entry: entry('f', { xattrs: { 'user.a': '1', 'user.b': '2' } }) }]);
    const two = write([{ entry: entry('f', { xattrs: { 'user.b': '2', 'user.a': '1' } }) }]);
    assert.ok(one.equals(two));
  });
  it('batches small entries and passes large content on as it is', () => {
    const sizes: number[] = [];
    const writer = new TarWriter(chunk => void sizes.push(chunk.length));
    for (let i = 0; i < 5000; i++) writer.entry(entry(`f${i}`));
    assert.ok(sizes.length <= 3, `${sizes.length} writes`);
    const large = Buffer.alloc(3 << 20);
    writer.entry(entry('large', { size: large.length }));
    writer.data(large);
    assert.equal(sizes.at(-1), large.length);
    writer.finish();
  });
  it('announces 8 GiB and more in an extended header', () => {
    const chunks: Buffer[] = [];
    const writer = new TarWriter(chunk => void chunks.push(Buffer.from(chunk)));
    writer.entry(entry('big', { size: 9 * 1024 ** 3 }));
    // Large pieces make the writer give out what it holds; their bytes are not kept.
    const piece = Buffer.alloc(64 << 20);
    const kept = chunks.length;
    writer.data(piece);
    const header = Buffer.concat(chunks.slice(kept, kept + 1));
    assert.match(header.toString('latin1'), /19 size=9663676416\n/);
  });
  it('refuses content that does not fit what was announced', () => {
    const writer = new TarWriter(() => {});
    writer.entry(entry('f', { size: 3 }));
    assert.throws(() => writer.data(Buffer.alloc(4)), /more content than announced/);
    writer.data(Buffer.alloc(2));
    assert.throws(() => writer.entry(entry('g')), /1 bytes are missing from 'f'/);
    assert.throws(() => writer.finish(), /1 bytes are missing/);
  });
  it('refuses an attribute that tar cannot hold', () => {
    assert.throws(
      () => write([{ entry: entry('f', { xattrs: { 'user.a=b': '1' } }) }]),
      (error: unknown) => error instanceof BuildError && error.code === 'unsupported',
    );
  });
});

/** Bytes as latin1; no NUL, no slash, no whole component of dots. */
const component = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
      fc.integer({ min: 1, max: 255 }),
    ),
    {
      minLength: 1,
      maxLength: 120,
    },
  )
  .map(bytes => String.fromCharCode(...bytes).replaceAll('/', '_'))
  .filter(name => name !== '.' && name !== '..');
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'));
const id = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 0xfffffffe }));
const bytes = fc.uint8Array({ maxLength: 40 }).map(array => Buffer.from(array).toString('latin1'));
const xattrs = fc.option(
  fc.dictionary(fc.constantFrom('user.a', 'user.bb', 'security.capability'), bytes, {
    minKeys: 1,
    noNullPrototype: true,
  }),
  { nil: undefined },
);

const anyEntry = fc
  .record({
    path,
    type: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'fifo', 'char', 'block'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: id,
    gid: id,
    mtimeSec: fc.oneof(fc.integer({ min: -5e9, max: 2e10 }), fc.constantFrom(0, -1, 8589934591, 8589934592)),
    link: path,
    device: fc.tuple(fc.integer({ min: 0, max: 0xfff }), fc.integer({ min: 0, max: 0xfffff })),
    xattrs,
    content: fc.uint8Array({ maxLength: 3000 }),
  })
  .map(({ path, type, link, device, xattrs, content, ...numbers }) => {
    const isLink = type === 'symlink' || type === 'hardlink';
    const value: Entry = {
      path: path as BytePath,
      type: type as Entry['type'],
      ...numbers,
      mtimeNsec: 0,
      size: type === 'file' ? content.length : 0,
      ...(isLink && { linkTarget: link === path ? `${link}x` : link }),
      ...((type === 'char' || type === 'block') && { devMajor: device[0], devMinor: device[1] }),
      ...(xattrs !== undefined && { xattrs }),
    };
    return type === 'file' ? { entry: value, content: Buffer.from(content) } : { entry: value };
  });

describe('TarWriter and TarReader', () => {
  it('give back every entry that there is', () => {
    fc.assert(
      fc.property(
        fc.array(anyEntry, { maxLength: 8 }),
        fc.integer({ min: 1, max: 3000 }),
        (entries, step) => {
          const read = readAll(write(entries), step).map(({ content, offset: _offset, ...entry }) => ({
            entry,
            content,
          }));
          const expected = entries.map(({ entry, content }) => ({
            entry,
            content: content ?? Buffer.alloc(0),
          }));
          assert.deepEqual(read, expected);
        },
      ),
      { numRuns: 200 },
    );
  });
  it('agree with Python', () => {
    const samples = fc.sample(anyEntry, { numRuns: 300, seed: 42 });
    assert.deepEqual(python(write(samples)), samples.map(asPython));
  });
});
