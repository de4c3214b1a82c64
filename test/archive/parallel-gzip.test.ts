// Parallel gzip: one member that everybody reads, and the same bytes whatever the circumstances.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parallelGzip } from '../../src/archive/parallel-gzip.ts';
import { BuildError } from '../../src/errors.ts';
import { repoRoot } from '../support/repo.ts';

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
const words = (seed: string, length: number) =>
  Buffer.alloc(
    length,
    Array.from({ length: 5000 }, (_, i) => ((i * seed.length) % 997).toString(36) + seed).join(' '),
  );
const sample = Buffer.concat([
  words('fox', 3 * mebibyte),
  randomBytes(3 * mebibyte + 17),
  words('jumps over', 2 * mebibyte),
  randomBytes(64 * 1024),
  words('dog', 3 * mebibyte + 1),
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
  for (const length of [0, 1, 2 * mebibyte - 1, 2 * mebibyte, 2 * mebibyte + 1, 4 * mebibyte]) {
    it(`packs ${length} bytes`, async () => {
      const bytes = sample.subarray(0, length);
      assert.ok(gunzipSync(await pack(bytes)).equals(bytes));
    });
  }
  it('has all levels, and higher ones are not larger on text', async () => {
    const text = readFileSync(join(repoRoot, 'package-lock.json'));
    const sizes: number[] = [];
    for (let level = 0; level <= 9; level++) {
      const packed = await pack(text, { level });
      assert.ok(gunzipSync(packed).equals(text), `level ${level}`);
      sizes.push(packed.length);
    }
    assert.ok((sizes[0] ?? 0) > text.length);
    assert.ok((sizes[9] ?? 0) <= (sizes[1] ?? 0));
  });
  it('stores what does not shrink, and only that', async () => {
    const noise = randomBytes(4 * mebibyte);
    const counting = Buffer.alloc(
      4 * mebibyte,
      Uint8Array.from({ length: 256 }, (_, i) => i),
    );
    const packed = await pack(Buffer.concat([noise, counting]), { level: 9 });
    assert.ok(packed.includes(noise.subarray(0, 65_535)), 'noise is there as it was');
    assert.ok(packed.length < 4.1 * mebibyte, `${packed.length} bytes`);
  });
  it('is hardly larger for its cuts', async () => {
    const text = Buffer.from(
      Array.from({ length: 100_000 }, (_, i) => createHash('md5').update(String(i)).digest('hex')).join(' '),
    );
    const [cut, whole] = [(await pack(text)).length, gzipSync(text).length];
    assert.ok(cut < whole * 1.01, `${cut} instead of ${whole} bytes`);
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
