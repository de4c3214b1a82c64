// Compresses a tar into the blob that a registry or archive gets, and makes sure of what is compressed on the way: a bit
// that flipped on the disk must not reach an image whose digests say that all is well.
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parallelGzip } from '../archive/parallel-gzip.ts';
import { zstd } from '../archive/zstd.ts';
import { BuildError } from '../errors.ts';
import { algorithmOf, type DiffId, type Digest, digestFromHash } from '../image/digest.ts';

const chunkBytes = 1024 * 1024;

/**
 * @param tar the file to pack
 * @param diffId what the bytes of `tar` must hash to
 * @param into an existing file, overwritten
 * @param how equal settings give equal bytes for gzip, whatever the machine
 * @throws BuildError `store` with the fact `damaged` (the diffId) when the file holds other bytes
 */
export async function packTar(
  tar: string,
  diffId: DiffId,
  into: string,
  { compression, level }: { readonly compression: 'gzip' | 'zstd'; readonly level: number },
  signal: AbortSignal,
): Promise<{ digest: Digest; size: number }> {
  const source = createReadStream(tar, { highWaterMark: chunkBytes, signal });
  const plain = createHash(algorithmOf(diffId));
  const watched = hashing(source, plain);
  const packed = compression === 'gzip' ? parallelGzip(watched, { level }) : zstd(watched, level);
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(into, 'w', 0o600);
  try {
    for await (const chunk of packed) {
      signal.throwIfAborted();
      hash.update(chunk);
      await file.writeFile(chunk);
      size += chunk.length;
    }
  } finally {
    await file.close();
  }
  const found = digestFromHash(plain.digest('hex'), algorithmOf(diffId));
  if (found !== diffId) throw damagedLayer(diffId, tar, found);
  return { digest: digestFromHash(hash.digest('hex')), size };
}

async function* hashing(source: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

function damagedLayer(diffId: DiffId, path: string, found: Digest): BuildError {
  return new BuildError('store', `the layer ${diffId} in the store is damaged`, {
    hint: 'it is removed from the store: build again',
    facts: { damaged: diffId, path, expected: diffId, found },
  });
}
