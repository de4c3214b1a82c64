// Decompression: what is accepted, what is refused, and that both gzip engines and both zstd engines agree.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { decompress, detectCompression } from '../../src/archive/compression.ts';
import { gunzip, gzipEngine } from '../../src/archive/gzip.ts';
import { TarWriter } from '../../src/archive/tar-writer.ts';
import { unzstd, type ZstdEngine, zstd, zstdEngine } from '../../src/archive/zstd.ts';
import { BuildError } from '../../src/errors.ts';
import { bytePath } from '../../src/tree/entry.ts';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A source that reads into the same buffer again and again, as a file reader does. */
async function* reusing(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    buffer.fill(0xee);
  }
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function filter(program: string, args: readonly string[], input: Uint8Array): Buffer {
  const run = spawnSync(program, args, { input, maxBuffer: 1 << 28 });
  assert.equal(run.status, 0, `${program}: ${run.stderr}`);
  return run.stdout;
}

const refused = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof BuildError && error.code === code && words.test(error.message);

/** Half noise, half text: several megabytes that do not fit one piece. */
const sample = Buffer.concat([randomBytes(1 << 20), Buffer.alloc(2 << 20, 'slipway '), randomBytes(300_000)]);
const small = Buffer.from('a small file\n');

describe('gzipEngine', () => {
  it('is zlib-sync where that can be loaded, node otherwise', () => {
    let loads = true;
    try {
      createRequire(import.meta.url)('zlib-sync');
    } catch {
      loads = false;
    }
    assert.equal(gzipEngine(), loads ? 'zlib-sync' : 'node');
  });
});

for (const engine of ['zlib-sync', 'node'] as const) {
  describe(`gunzip with ${engine}`, () => {
    for (const [name, data] of [
      ['several megabytes', sample],
      ['a small file', small],
      ['nothing', Buffer.alloc(0)],
      ['zeros, a thousand to one', Buffer.alloc(50 << 20)],
    ] as const) {
      it(`gives back ${name}`, async () => {
        const packed = gzipSync(data);
        for (const size of [packed.length + 1, 65536, 1000]) {
          assert.ok(data.equals(await collect(gunzip(inChunks(packed, size), engine))), `pieces of ${size}`);
          assert.ok(data.equals(await collect(gunzip(reusing(packed, size), engine))), `reused ${size}`);
        }
      });
    }
    it('reads byte by byte', async () => {
      const packed = gzipSync(small);
      assert.deepEqual(await collect(gunzip(inChunks(packed, 1), engine)), small);
    });
    it('reads a header with name, comment, extra field and checksum', async () => {
      const plain = gzipSync(small);
      const start = Buffer.concat([
        Buffer.from([0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3]),
        Buffer.from([3, 0, 1, 2, 3]),
        Buffer.from('name\0comment\0'),
      ]);
      const sum = Buffer.alloc(2);
      sum.writeUInt16LE(crc32(start) & 0xffff);
      const packed = Buffer.concat([start, sum, plain.subarray(10)]);
      assert.deepEqual(await collect(gunzip(inChunks(packed, 7), engine)), small);
    });
    it('reads several members', async () => {
      const packed = Buffer.concat([
        gzipSync(sample),
        gzipSync(small),
        gzipSync(Buffer.alloc(0)),
        gzipSync(sample),
      ]);
      const expected = Buffer.concat([sample, small, sample]);
      for (const size of [packed.length, 65536, 999]) {
        assert.ok(
          expected.equals(await collect(gunzip(inChunks(packed, size), engine))),
          `pieces of ${size}`,
        );
      }
    });
    it('reads ten thousand small members', async () => {
      const one = gzipSync(small);
      const packed = Buffer.concat(Array.from({ length: 10_000 }, () => one));
      const unpacked = await collect(gunzip(inChunks(packed, 65536), engine));
      assert.equal(unpacked.length, small.length * 10_000);
    });
    for (const body of [small, sample]) {
      const kind = body === small ? 'small' : 'large';
      it(`ignores zeros after the end of a ${kind} member, even many`, async () => {
        const packed = Buffer.concat([gzipSync(body), Buffer.alloc(300_000)]);
        for (const size of [packed.length, 1000]) {
          assert.ok(body.equals(await collect(gunzip(inChunks(packed, size), engine))));
        }
      });
      it(`refuses other bytes after a ${kind} member`, async () => {
        for (const tail of ['garbage', `${'\0'.repeat(200_000)}x`, '\0\0\0x']) {
          const packed = Buffer.concat([gzipSync(body), Buffer.from(tail)]);
          for (const size of [packed.length, 1000]) {
            await assert.rejects(
              collect(gunzip(inChunks(packed, size), engine)),
              refused('integrity', /gzip data/),
            );
          }
        }
      });
      it(`refuses a wrong checksum of a ${kind} member`, async () => {
        const packed = Buffer.from(gzipSync(body));
        packed[packed.length - 7] = (packed[packed.length - 7] ?? 0) ^ 1;
        await assert.rejects(
          collect(gunzip(inChunks(packed, 5000), engine)),
          refused('integrity', /gzip data/),
        );
      });
      it(`refuses a ${kind} member cut anywhere`, async () => {
        const packed = gzipSync(body);
        for (const missing of [1, 4, 8, 9, Math.floor(packed.length / 2), packed.length - 5, packed.length]) {
          const cut = packed.subarray(0, packed.length - missing);
          await assert.rejects(
            collect(gunzip(inChunks(cut, 70_000), engine)),
            refused('integrity', /gzip data/),
            `${missing} bytes missing`,
          );
        }
      });
    }
    it('refuses an endless header', async () => {
      const packed = Buffer.concat([
        Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]),
        Buffer.alloc(3 << 20, 'n'),
      ]);
      await assert.rejects(
        collect(gunzip(inChunks(packed, 65536), engine)),
        refused('integrity', /gzip data/),
      );
    });
    it('passes on what the source throws', async () => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield gzipSync(sample).subarray(0, 100_000);
        throw new Error('the network is gone');
      }
      await assert.rejects(collect(gunzip(broken(), engine)), /the network is gone/);
    });
    it('closes the source when the reader stops early', async () => {
      let closed = false;
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          yield* inChunks(gzipSync(sample), 1000);
        } finally {
          closed = true;
        }
      }
      for await (const _ of gunzip(endless(), engine)) break;
      assert.ok(closed);
    });
  });
}

const zstdEngines: ZstdEngine[] = zstdEngine() === 'node' ? ['node', 'fzstd'] : ['fzstd'];
const zstdOf = (data: Uint8Array, ...args: string[]) => filter('zstd', ['-q', '-c', ...args], data);

for (const engine of zstdEngines) {
  describe(`unzstd with ${engine}`, () => {
    it('gives back what zstd packed at several levels and with a long window', async () => {
      for (const args of [['-1'], ['-3'], ['-19'], ['--long=27'], ['--no-check'], ['--no-content-size']]) {
        const packed = zstdOf(sample, ...args);
        for (const size of [packed.length, 1 << 16, 4099]) {
          assert.ok(sample.equals(await collect(unzstd(reusing(packed, size), engine))), args.join(' '));
        }
      }
    });
    it('reads frames after frames, empty and skippable ones too', async () => {
      const skippable = Buffer.concat([
        Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]),
        Buffer.from('hello'),
      ]);
      const empty = zstdOf(Buffer.alloc(0));
      const packed = Buffer.concat([skippable, zstdOf(small), empty, skippable, zstdOf(sample), empty]);
      for (const size of [packed.length, 1000]) {
        const unpacked = await collect(unzstd(inChunks(packed, size), engine));
        assert.ok(Buffer.concat([small, sample]).equals(unpacked));
      }
    });
    it('reads a hundred thousand empty frames', async () => {
      const empty = zstdOf(Buffer.alloc(0));
      const packed = Buffer.concat(Array.from({ length: 100_000 }, () => empty));
      assert.equal((await collect(unzstd(inChunks(packed, 65536), engine))).length, 0);
    });
    it('refuses a stream cut anywhere', async () => {
      const packed = Buffer.concat([zstdOf(sample), zstdOf(small)]);
      for (const missing of [1, 5, 12, Math.floor(packed.length / 2), packed.length - 3, packed.length]) {
        const cut = packed.subarray(0, packed.length - missing);
        await assert.rejects(
          collect(unzstd(inChunks(cut, 65536), engine)),
          refused('integrity', /zstd data/),
          `${missing} bytes missing`,
        );
      }
    });
    it('refuses other bytes after the end', async () => {
      const packed = Buffer.concat([zstdOf(small), Buffer.from('some garbage that is long enough')]);
      await assert.rejects(
        collect(unzstd(inChunks(packed, 65536), engine)),
        refused('integrity', /zstd data/),
      );
    });
    it('refuses a changed byte', async () => {
      const packed = zstdOf(sample);
      packed[500_000] = (packed[500_000] ?? 0) ^ 0x40;
      await assert.rejects(
        collect(unzstd(inChunks(packed, 65536), engine)),
        refused('integrity', /zstd data/),
      );
    });
    it('refuses a window of 256 MiB before anything is allocated for it', async () => {
      const packed = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (28 - 10) << 3, 1, 0, 0]);
      await assert.rejects(collect(unzstd(inChunks(packed, 100), engine)), refused('integrity', /128 MiB/));
    });
    it('refuses a dictionary', async () => {
      const packed = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x50, 7, 1, 0, 0]);
      await assert.rejects(
        collect(unzstd(inChunks(packed, 100), engine)),
        refused('unsupported', /dictionary/),
      );
    });
  });
}

describe('zstd', () => {
  it('writes what the zstd program reads', async () => {
    const packed = await collect(zstd(inChunks(sample, 100_000), 3));
    assert.ok(sample.equals(filter('zstd', ['-d', '-q', '-c'], packed)));
  });
});

describe('decompress', () => {
  it('unpacks xz and bzip2 through the programs of the machine', async () => {
    for (const [kind, program] of [
      ['xz', 'xz'],
      ['bzip2', 'bzip2'],
    ] as const) {
      const packed = filter(program, ['-c'], sample);
      assert.equal(detectCompression(packed), kind);
      assert.ok(sample.equals(await collect(decompress(reusing(packed, 100_000), kind))));
      const cut = packed.subarray(0, packed.length - 100);
      await assert.rejects(
        collect(decompress(inChunks(cut, 1000), kind)),
        refused('integrity', /could not unpack/),
      );
    }
  });
  it('says what to install when a program is missing', () => {
    const path = process.env.PATH;
    process.env.PATH = '.:relative:/nonexistent';
    try {
      assert.throws(() => decompress(inChunks(small, 10), 'xz'), refused('unsupported', /program 'xz'/));
    } finally {
      process.env.PATH = path;
    }
  });
  it('tells kinds by their first bytes', () => {
    const tar: Uint8Array[] = [];
    const writer = new TarWriter(chunk => tar.push(Buffer.from(chunk)));
    const times = { uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0 };
    writer.entry({ path: bytePath('BZh'), type: 'directory', mode: 0o755, size: 0, ...times });
    writer.finish();
    const archive = Buffer.concat(tar);
    assert.equal(detectCompression(archive), 'tar');
    // v7: no magic, so the checksum decides.
    const v7 = Buffer.from(archive.subarray(0, 512));
    v7.fill(0, 257, 345);
    let sum = 256;
    for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += v7[i] ?? 0;
    v7.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    assert.equal(detectCompression(v7), 'tar');
    assert.equal(detectCompression(gzipSync(small)), 'gzip');
    assert.equal(detectCompression(zstdOf(small)), 'zstd');
    assert.equal(detectCompression(small), 'none');
    assert.equal(detectCompression(Buffer.alloc(512)), 'none');
    assert.equal(detectCompression(Buffer.alloc(0)), 'none');
  });
});
