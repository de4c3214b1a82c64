// node:zlib's transforms as async iterables that end: an error of the source or of zlib is thrown to the reader, and a
// reader that stops early closes both.
import type { Transform } from 'node:stream';
import { BuildError, errnoOf, messageOf } from '../errors.ts';

/** Large output chunks: with node's default of 16 KiB zlib is four times slower. */
export const zlibChunkBytes = 1024 * 1024;

/** Gives a chunk to the transform; resolves when it was worked on. */
export type WriteChunk = (chunk: Uint8Array) => Promise<void>;

/**
 * @param feed writes the whole input and returns
 * @param what for messages: `gzip data`
 * @throws BuildError `integrity` for what zlib refuses; whatever `feed` throws
 */
export async function* throughZlib(
  feed: (write: WriteChunk) => Promise<void>,
  transform: Transform,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const fed = feed(chunk => writeTo(transform, chunk)).then(
    () => void transform.end(),
    error => void transform.destroy(error as Error),
  );
  try {
    for await (const chunk of transform) yield chunk as Buffer;
  } catch (error) {
    throw zlibFailure(error, what);
  } finally {
    transform.destroy();
    await fed;
  }
}

/** Feeds all of `source`. */
export function feedAll(source: AsyncIterable<Uint8Array>): (write: WriteChunk) => Promise<void> {
  return async write => {
    for await (const chunk of source) await write(chunk);
  };
}

/** A transform that is destroyed forgets the callback of the chunk it was working on, so `close` counts as well. */
function writeTo(transform: Transform, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the reader went away'));
    if (transform.destroyed) return closed();
    transform.once('close', closed);
    transform.write(chunk, error => {
      transform.off('close', closed);
      if (error) reject(error);
      else resolve();
    });
  });
}

function zlibFailure(error: unknown, what: string): unknown {
  const code = errnoOf(error) ?? '';
  if (!code.startsWith('Z_') && !code.startsWith('ZSTD_') && !code.startsWith('ERR_ZLIB')) return error;
  const truncated = code === 'Z_BUF_ERROR' || /unexpected end/i.test(messageOf(error));
  const detail = truncated ? 'it is truncated' : messageOf(error);
  return new BuildError('integrity', `the ${what} is damaged: ${detail}`, { cause: error });
}
