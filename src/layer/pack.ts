// Compresses a tar into the blob that a registry or archive gets, and makes sure of what is compressed on the way: a bit
// that flipped on the disk must not reach an image whose digests say that all is well.
import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parallelGzip } from '../archive/parallel-gzip.ts';
import { zstd } from '../archive/zstd.ts';
import { BuildError } from '../errors.ts';
import { algorithmOf, type DiffId, type Digest, digestFromHash } from '../image/digest.ts';
import type { BlobTap, Packing } from './layers.ts';

/** Large: every read and write waits for its turn behind the deflating in libuv's pool. */
const chunkBytes = 4 * 1024 * 1024;
/** So small that what comes next still finds it in the processor's cache. */
const pieceBytes = 128 * 1024;

/**
 * @param tar the file to pack
 * @param diffId what the bytes of `tar` must hash to
 * @param into an existing empty file; what is written is on the disk afterwards
 * @param how equal settings give equal bytes for gzip, whatever the machine
 * @param openTap what it opens is given the packed bytes as well
 * @throws BuildError `store` with the fact `damaged` (the diffId) when the file holds other bytes
 */
export async function packTar(
  tar: string,
  diffId: DiffId,
  into: string,
  { compression, level }: { readonly compression: 'gzip' | 'zstd'; readonly level: number },
  signal: AbortSignal,
  openTap?: Packing['tap'],
): Promise<{ digest: Digest; size: number }> {
  // Whatever keeps it from being opened is told where the blob is really needed.
  const tap =
    openTap &&
    (await Promise.resolve()
      .then(openTap)
      .catch(() => undefined));
  try {
    return await write(tar, diffId, into, { compression, level }, signal, tap);
  } catch (error) {
    tap?.abort();
    throw error;
  }
}

async function write(
  tar: string,
  diffId: DiffId,
  into: string,
  { compression, level }: { readonly compression: 'gzip' | 'zstd'; readonly level: number },
  signal: AbortSignal,
  tap: BlobTap | undefined,
): Promise<{ digest: Digest; size: number }> {
  const plain = createHash(algorithmOf(diffId));
  const watched = hashing(chunksOf(tar), plain);
  const packed = compression === 'gzip' ? parallelGzip(watched, { level }) : zstd(watched, level);
  const hash = createHash('sha256');
  let size = 0;
  let taken: Promise<unknown> | undefined;
  async function* passing() {
    for await (const chunk of packed) {
      hash.update(chunk);
      size += chunk.length;
      await tap?.write(chunk);
      yield chunk;
    }
    const found = digestFromHash(plain.digest('hex'), algorithmOf(diffId));
    if (found !== diffId) throw damagedLayer(diffId, tar, found);
    // The other end has work to do as well, while the disk takes what waits in memory.
    taken = tap?.end(digestFromHash(hash.copy().digest('hex')));
    taken?.catch(() => undefined);
  }
  // Opened with "r+": a file that "w" has cut is flushed by ext4 when it is closed.
  await pipeline(passing, createWriteStream(into, { flags: 'r+', flush: true, highWaterMark: chunkBytes }), {
    signal,
  });
  await taken;
  return { digest: digestFromHash(hash.digest('hex')), size };
}

/** Two buffers in turn: one is read into while the other is worked on. */
async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  let [current, ahead] = [Buffer.allocUnsafeSlow(chunkBytes), Buffer.allocUnsafeSlow(chunkBytes)];
  const readAhead = () => {
    const reading = file.read(ahead);
    // It is awaited in its turn, or never when nobody reads on.
    reading.catch(() => undefined);
    return reading;
  };
  for (let reading = readAhead(); ; ) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) return;
    [current, ahead] = [ahead, current];
    reading = readAhead();
    yield current.subarray(0, bytesRead);
  }
}

async function* hashing(source: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      const piece = chunk.subarray(at, at + pieceBytes);
      hash.update(piece);
      yield piece;
    }
  }
}

function damagedLayer(diffId: DiffId, path: string, found: Digest): BuildError {
  return new BuildError('store', `the layer ${diffId} in the store is damaged`, {
    hint: 'it is removed from the store: build again',
    facts: { damaged: diffId, path, expected: diffId, found },
  });
}
