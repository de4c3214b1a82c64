// Parallel gzip: one member that everybody reads, and the same bytes whatever the circumstances.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { parallelGzip } from '../../src/archive/parallel-gzip.ts';
import { BuildError } from '../../src/errors.ts';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    buffer.fill(0xee);
  }
}

async function pack(bytes: Uint8Array, options = {}, size = 70_000): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of parallelGzip(inChunks(bytes, size), options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const mebibyte = 1024 * 1024;
const sample = Buffer.concat([
  Buffer.alloc(2 * mebibyte, 'the quick brown fox '),
  randomBytes(mebibyte + 17),
  Buffer.alloc(mebibyte, 'jumps over the lazy dog '),
]);

describe('parallelGzip', () => {
  it('is read by gzip and by node as one member', async () => {
    const packed = await pack(sample);
    assert.ok(gunzipSync(packed).equals(sample));
    const run = spawnSync('gzip', ['-d', '-c'], { input: packed, maxBuffer: 1 << 26 });
    assert.equal(run.status, 0, run.stderr.toString());
    assert.ok(run.stdout.equals(sample));
    const members = spawnSync(
      'python3',
      [
        '-c',
        'import sys,zlib;d=zlib.decompressobj(31);d.decompress(sys.stdin.buffer.read());print(d.eof,len(d.unused_data))',
      ],
      { input: packed },
    );
    assert.equal(members.stdout.toString().trim(), 'True 0');
  });
  it('gives the same bytes however the input comes and however many blocks run together', async () => {
    const expected = await pack(sample);
    for (const [size, concurrency] of [
      [1000, 1],
      [mebibyte, 3],
      [sample.length, 16],
    ]) {
      assert.ok(expected.equals(await pack(sample, { concurrency }, size)), `chunks of ${size}`);
    }
  });
  for (const length of [0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 2 * mebibyte]) {
    it(`packs ${length} bytes`, async () => {
      const bytes = sample.subarray(0, length);
      assert.ok(gunzipSync(await pack(bytes)).equals(bytes));
    });
  }
  it('has all levels, and higher ones are not larger on text', async () => {
    const text = Buffer.from(
      Array.from({ length: 40_000 }, (_, i) =>
        createHash('md5')
          .update(String(i % 5000))
          .digest('hex'),
      ).join(' '),
    );
    const sizes: number[] = [];
    for (let level = 0; level <= 9; level++) {
      const packed = await pack(text, { level });
      assert.ok(gunzipSync(packed).equals(text), `level ${level}`);
      sizes.push(packed.length);
    }
    assert.ok((sizes[0] ?? 0) > text.length);
    assert.ok((sizes[9] ?? 0) <= (sizes[1] ?? 0));
  });
  it('uses what came before a block: repeated text costs nearly nothing across a cut', async () => {
    const noise = randomBytes(16 * 1024);
    const filler = Buffer.alloc(mebibyte - noise.length);
    const once = await pack(Buffer.concat([filler, noise]));
    const twice = await pack(Buffer.concat([filler, noise, noise]));
    assert.ok(twice.length - once.length < noise.length / 10, `${twice.length - once.length} bytes more`);
  });
  it('refuses a level that does not exist', async () => {
    for (const level of [-1, 10, 1.5, Number.NaN]) {
      await assert.rejects(
        pack(sample, { level }),
        (error: unknown) => error instanceof BuildError && error.code === 'usage',
      );
    }
  });
  it('passes on what the source throws, and closes the source when nobody reads on', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield sample;
      throw new Error('disk failure');
    }
    await assert.rejects(async () => {
      for await (const _ of parallelGzip(broken()));
    }, /disk failure/);
    let closed = false;
    async function* watched(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield sample;
      } finally {
        closed = true;
      }
    }
    let chunks = 0;
    for await (const _ of parallelGzip(watched())) if (++chunks === 3) break;
    assert.ok(closed);
  });
});
