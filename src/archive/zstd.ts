// The door to zstd (RFC 8878). Node's own since 22.15; before that fzstd decompresses (plain JavaScript, no compiler)
// and the machine's `zstd` program compresses.

import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { BuildError, messageOf } from '../errors.ts';
import { filterThrough, findProgram } from '../host/filter-program.ts';
import { Xxh64 } from './xxh64.ts';
import { feedAll, throughZlib, type WriteChunk, zlibChunkBytes } from './zlib-stream.ts';
import { ZstdFrames } from './zstd-frames.ts';

/** The part of node:zlib that old releases lack; @types/node of the oldest supported one does not know it. */
interface ZstdZlib {
  createZstdCompress?(options: { chunkSize: number; params: Record<number, number> }): Transform;
  createZstdDecompress?(options: { chunkSize: number; params: Record<number, number> }): Transform;
}

const native = zlib as ZstdZlib;
const parameter = { compressionLevel: 100, checksumFlag: 201, windowLogMax: 100 } as const;
/** 128 MiB, as much as `zstd --long` asks for; a frame that needs more is refused. */
export const maxZstdWindowLog = 27;

/** Input decoded at once: a block of 4 bytes can give 128 KiB. */
const pieceBytes = 64 * 1024;

export type ZstdEngine = 'node' | 'fzstd';

/** The engine that {@link unzstd} takes when none is named. */
export function zstdEngine(): ZstdEngine {
  return native.createZstdDecompress === undefined ? 'fzstd' : 'node';
}

/**
 * Decompresses zstd: any number of frames, skippable ones passed over, no dictionary, windows up to 128 MiB.
 * @throws BuildError `integrity`
 */
export async function* unzstd(
  source: AsyncIterable<Uint8Array>,
  engine: ZstdEngine = zstdEngine(),
): AsyncGenerator<Uint8Array, void, undefined> {
  const create = engine === 'node' ? native.createZstdDecompress : undefined;
  const frames = new ZstdFrames(maxZstdWindowLog);
  if (create === undefined) {
    yield* unzstdWithFzstd(source, frames);
    return;
  }
  const decoder = create({
    chunkSize: zlibChunkBytes,
    params: { [parameter.windowLogMax]: maxZstdWindowLog },
  });
  yield* throughZlib(write => feedFrames(source, frames, write), decoder, 'zstd data');
}

/** node's decoder ends at the end of a frame when more bytes are in the same chunk, so each frame gets its own chunks. */
async function feedFrames(
  source: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
  write: WriteChunk,
): Promise<void> {
  for await (const chunk of source) {
    for (const part of wholeFrames(chunk, frames)) await write(part);
  }
  frames.finish();
}

/** The chunk cut where frames end; skippable frames and other bytes are left out. */
function wholeFrames(chunk: Uint8Array, frames: ZstdFrames): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let pieces: Uint8Array[] = [];
  frames.push(chunk, (bytes, last) => {
    pieces.push(bytes);
    if (!last) return;
    parts.push(Buffer.concat(pieces));
    pieces = [];
  });
  if (pieces.length > 0) parts.push(Buffer.concat(pieces));
  return parts;
}

/** Each frame gets a decoder of its own, which keeps fzstd from recursing over many frames; it sums nothing itself. */
async function* unzstdWithFzstd(
  source: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { Decompress } = await import('fzstd');
  let output: Uint8Array[] = [];
  let sum = new Xxh64();
  const fresh = () =>
    new Decompress(chunk => {
      if (frames.hasChecksum) sum.update(chunk);
      output.push(chunk.slice());
    });
  let decoder = fresh();
  const decode = (bytes: Uint8Array, last: boolean) => {
    try {
      decoder.push(bytes, last);
    } catch (error) {
      throw new BuildError('integrity', `the zstd data is damaged: ${messageOf(error)}`, { cause: error });
    }
    if (!last) return;
    if (frames.hasChecksum && sum.low32() !== frames.checksum) {
      throw new BuildError('integrity', 'the zstd data is damaged: its checksum does not match');
    }
    decoder = fresh();
    sum = new Xxh64();
  };
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      // A copy: fzstd holds on to its input, and the source may use its buffer again.
      frames.push(Buffer.from(chunk.subarray(at, at + pieceBytes)), decode);
      for (const piece of output) yield piece;
      output = [];
    }
  }
  frames.finish();
}

/**
 * Compresses into one zstd frame with a checksum.
 * @param level 1 to 22; default 3
 * @throws BuildError `unsupported` when neither this Node nor this machine can
 */
export function zstd(
  source: AsyncIterable<Uint8Array>,
  level = 3,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (native.createZstdCompress !== undefined) {
    const params = { [parameter.compressionLevel]: level, [parameter.checksumFlag]: 1 };
    return throughZlib(
      feedAll(source),
      native.createZstdCompress({ chunkSize: zlibChunkBytes, params }),
      'zstd data',
    );
  }
  const program = findProgram('zstd');
  if (program === undefined) {
    throw new BuildError(
      'unsupported',
      `zstd compression needs Node 22.15 or newer; this is ${process.version}`,
      {
        hint: 'install the zstd program, or use compression=gzip',
      },
    );
  }
  return filterThrough(source, program, ['-q', '-c', '-T1', ...(level > 19 ? ['--ultra'] : []), `-${level}`]);
}
