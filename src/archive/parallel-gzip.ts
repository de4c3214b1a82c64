// gzip with all processors and one answer (RFC 1952). The input is cut into blocks of a fixed size; each is deflated in
// libuv's pool with the 32 KiB before it as dictionary, and the pieces, which end on byte boundaries, are joined into a
// single member. Where the cuts are depends on the input alone, so the bytes do not depend on threads or timing; they
// may differ between Node releases that carry different versions of zlib.
import { availableParallelism } from 'node:os';
import { constants, crc32, deflateRaw } from 'node:zlib';
import { BuildError } from '../errors.ts';

const blockBytes = 1024 * 1024;
const dictionaryBytes = 32 * 1024;
/** The largest hash table: a tenth faster than zlib's default of 8. */
const memLevel = 9;
/** Deflate without gain adds 5 bytes per 16 KiB; the output of a block always fits, so one call does it. */
const outputBytes = blockBytes + blockBytes / 1024 + 64 * 1024;

export interface GzipOptions {
  /** 0 (stored) to 9 (smallest); default 6. */
  readonly level?: number;
  /** Blocks worked on at the same time; default two for each processor. Changes no byte. */
  readonly concurrency?: number;
}

/**
 * The gzip form of `source`: one member, no name, no time. A source may use its buffers again.
 * @throws BuildError `usage` for a level that does not exist; whatever `source` throws
 */
export async function* parallelGzip(
  source: AsyncIterable<Uint8Array>,
  options: GzipOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const level = options.level ?? 6;
  if (!Number.isInteger(level) || level < 0 || level > 9) {
    throw new BuildError('usage', `gzip has no compression level ${level}`, { hint: 'levels are 0 to 9' });
  }
  const inFlight = Math.max(1, options.concurrency ?? 2 * availableParallelism());
  yield header(level);
  let crc = 0;
  let size = 0;
  let before: Buffer | undefined;
  const queue: Promise<Buffer>[] = [];
  try {
    for await (const { bytes, isLast } of blocksOf(source)) {
      crc = crc32(bytes, crc);
      size = (size + bytes.length) % 2 ** 32;
      const work = deflateBlock(bytes, level, before?.subarray(-dictionaryBytes), isLast);
      // It is awaited below, possibly after another one failed.
      work.catch(() => undefined);
      queue.push(work);
      before = bytes;
      if (queue.length >= inFlight) yield (await queue.shift()) ?? Buffer.alloc(0);
    }
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) yield await next;
  } finally {
    await Promise.allSettled(queue);
  }
  yield trailer(crc, size);
}

/** Blocks of exactly `blockBytes`, the last one shorter and always there. Each has memory of its own. */
async function* blocksOf(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ bytes: Buffer; isLast: boolean }, void, undefined> {
  let block = Buffer.allocUnsafeSlow(blockBytes);
  let used = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      // A full block waits for the next byte: only then is it known not to be the last.
      if (used === blockBytes) {
        yield { bytes: block, isLast: false };
        block = Buffer.allocUnsafeSlow(blockBytes);
        used = 0;
      }
      const count = Math.min(blockBytes - used, chunk.length - at);
      block.set(chunk.subarray(at, at + count), used);
      used += count;
      at += count;
    }
  }
  yield { bytes: block.subarray(0, used), isLast: true };
}

function deflateBlock(
  bytes: Buffer,
  level: number,
  dictionary: Buffer | undefined,
  isLast: boolean,
): Promise<Buffer> {
  const finishFlush = isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
  const options = { level, memLevel, finishFlush, chunkSize: outputBytes, ...(dictionary && { dictionary }) };
  return new Promise((resolve, reject) => {
    deflateRaw(bytes, options, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** No flags, no time; the last two bytes say how hard it tried and that the system is unknown. */
function header(level: number): Buffer {
  const effort = level === 9 ? 2 : level === 1 ? 4 : 0;
  return Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 0xff]);
}

function trailer(crc: number, size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(crc, 0);
  bytes.writeUInt32LE(size, 4);
  return bytes;
}
