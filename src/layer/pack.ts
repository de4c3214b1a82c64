// Compresses a tar into the blob that a registry or archive gets.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parallelGzip } from '../archive/parallel-gzip.ts';
import { zstd } from '../archive/zstd.ts';
import { type Digest, digestFromHash } from '../image/digest.ts';

const chunkBytes = 1024 * 1024;

/**
 * @param tar the file to pack
 * @param into an existing file, overwritten
 * @param how equal settings give equal bytes for gzip, whatever the machine
 */
export async function packTar(
  tar: string,
  into: string,
  { compression, level }: { readonly compression: 'gzip' | 'zstd'; readonly level: number },
  signal: AbortSignal,
): Promise<{ digest: Digest; size: number }> {
  const source = createReadStream(tar, { highWaterMark: chunkBytes, signal });
  const packed = compression === 'gzip' ? parallelGzip(source, { level }) : zstd(source, level);
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
  return { digest: digestFromHash(hash.digest('hex')), size };
}
