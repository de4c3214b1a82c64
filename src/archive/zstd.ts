// The door to zstd (RFC 8878). Node's own since 22.15; before that fzstd decompresses (plain JavaScript, no compiler)
// and the machine's `zstd` program compresses.

import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { BuildError, messageOf } from '../errors.ts';
import { filterThrough, findProgram } from '../host/filter-program.ts';
import { throughZlib, zlibChunkBytes } from './zlib-stream.ts';
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
  // Framing is checked here for both engines: node's accepts a stream that ends between two blocks on some releases.
  const frames = new ZstdFrames(maxZstdWindowLog);
  if (create !== undefined) {
    const params = { [parameter.windowLogMax]: maxZstdWindowLog };
    yield* throughZlib(checked(source, frames), create({ chunkSize: zlibChunkBytes, params }), 'zstd data');
    return;
  }
  yield* unzstdWithFzstd(source, frames);
}

async function* checked(
  source: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    frames.push(chunk, () => {});
    yield chunk;
  }
  frames.finish();
}

/** Each frame gets a decoder of its own, which keeps fzstd from recursing over many frames. */
async function* unzstdWithFzstd(
  source: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { Decompress } = await import('fzstd');
  let output: Uint8Array[] = [];
  const fresh = () => new Decompress(chunk => output.push(chunk.slice()));
  let decoder = fresh();
  const decode = (bytes: Uint8Array, last: boolean) => {
    try {
      decoder.push(bytes, last);
    } catch (error) {
      throw new BuildError('integrity', `the zstd data is damaged: ${messageOf(error)}`, { cause: error });
    }
    if (last) decoder = fresh();
  };
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += zlibChunkBytes) {
      frames.push(chunk.subarray(at, at + zlibChunkBytes), decode);
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
    return throughZlib(source, native.createZstdCompress({ chunkSize: zlibChunkBytes, params }), 'zstd data');
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
