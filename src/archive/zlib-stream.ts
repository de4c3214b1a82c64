// node:zlib's transforms as async iterables that end: an error of the source or of zlib is thrown to the reader, and a
// reader that stops early closes both.
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BuildError, errnoOf, messageOf } from '../errors.ts';

/** Large output chunks: with node's default of 16 KiB zlib is four times slower. */
export const zlibChunkBytes = 1024 * 1024;

/**
 * @param what for messages: `gzip data`
 * @throws BuildError `integrity` for what zlib refuses; whatever `source` throws
 */
export async function* throughZlib(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const fed = pipeline(Readable.from(source, { objectMode: true }), transform);
  // The reader below sees the same error; without this the promise would count as unhandled.
  fed.catch(() => undefined);
  try {
    for await (const chunk of transform) yield chunk as Buffer;
    await fed;
  } catch (error) {
    throw zlibFailure(error, what);
  } finally {
    transform.destroy();
  }
}

function zlibFailure(error: unknown, what: string): unknown {
  const code = errnoOf(error) ?? '';
  if (!code.startsWith('Z_') && !code.startsWith('ZSTD_') && !code.startsWith('ERR_ZLIB')) return error;
  const truncated = code === 'Z_BUF_ERROR' || /unexpected end/i.test(messageOf(error));
  const detail = truncated ? 'it is truncated' : messageOf(error);
  return new BuildError('integrity', `the ${what} is damaged: ${detail}`, { cause: error });
}
