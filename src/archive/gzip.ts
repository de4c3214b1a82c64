// The door to gzip decompression (RFC 1952), with two engines behind it: zlib-sync, a native module that is faster but
// needs a compiler at install and so is optional, and node:zlib. Both give the same bytes and refuse the same input.
import { createRequire } from 'node:module';
import { crc32, createGunzip } from 'node:zlib';
import { damagedGzip, gzipHeaderLength } from './gzip-header.ts';
import { throughZlib, type WriteChunk, zlibChunkBytes } from './zlib-stream.ts';

export type GzipEngine = 'zlib-sync' | 'node';

/** What is used of zlib-sync, said here because the package may not be installed where this is compiled. */
interface ZlibSync {
  readonly Inflate: new (options: { chunkSize: number; windowBits: number }) => ZlibSyncInflate;
  readonly Z_SYNC_FLUSH: number;
  readonly Z_OK: number;
  readonly Z_STREAM_END: number;
  readonly Z_BUF_ERROR: number;
}

interface ZlibSyncInflate {
  readonly result: Buffer | string | null;
  readonly msg: string | null;
  readonly err: number;
  push(buffer: Buffer, flush: number): void;
}

/** Input given to the engine at once: deflate expands up to 1032 times, and zlib-sync gives all output in one piece. */
const pieceBytes = 64 * 1024;
const trailerBytes = 8;

let zlibSync: ZlibSync | undefined | null = null;

/** zlib-sync when it was installed; loaded at the first use. */
function loadZlibSync(): ZlibSync | undefined {
  if (zlibSync === null) {
    try {
      zlibSync = createRequire(import.meta.url)('zlib-sync') as ZlibSync;
    } catch {
      zlibSync = undefined;
    }
  }
  return zlibSync;
}

/** The engine that {@link gunzip} takes when none is named. */
export function gzipEngine(): GzipEngine {
  return loadZlibSync() === undefined ? 'node' : 'zlib-sync';
}

/**
 * Decompresses gzip: one member or several, zeros after the last one are fine. Memory stays bounded whatever the ratio.
 * @throws BuildError `integrity` for damaged, truncated or trailing bytes; data was already given then, so callers
 *   commit at the end only
 */
export async function* gunzip(
  source: AsyncIterable<Uint8Array>,
  engine: GzipEngine = gzipEngine(),
): AsyncGenerator<Uint8Array, void, undefined> {
  const library = engine === 'zlib-sync' ? loadZlibSync() : undefined;
  const input = new PieceReader(source);
  try {
    if (library === undefined) yield* gunzipWithNode(input);
    else yield* gunzipWithZlibSync(input, library);
  } finally {
    await input.close();
  }
}

/** Pieces of a bounded size from any source, with the possibility to give bytes back. */
class PieceReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #done = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next 1 to `pieceBytes` bytes; undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      if (this.#done) return undefined;
      const { value, done } = await this.#source.next();
      this.#done = done === true;
      if (value !== undefined && !this.#done)
        this.#rest = Buffer.from(value.buffer, value.byteOffset, value.length);
    }
    const piece = this.#rest.subarray(0, pieceBytes);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  giveBack(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([bytes, this.#rest]);
  }

  async close(): Promise<void> {
    if (!this.#done) await this.#source.return?.();
    this.#done = true;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let piece = await this.next(); piece !== undefined; piece = await this.next()) yield piece;
  }
}

/**
 * node:zlib goes from member to member itself and stops at a zero byte; from there on all must be zeros. Its
 * `bytesWritten` says how much of what it was given it took. An empty input is no gzip.
 */
async function* gunzipWithNode(input: PieceReader): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = createGunzip({ chunkSize: zlibChunkBytes });
  const feed = async (write: WriteChunk): Promise<void> => {
    let given = 0;
    for (let piece = await input.next(); piece !== undefined; piece = await input.next()) {
      await write(piece);
      given += piece.length;
      if (decoder.bytesWritten < given) {
        requireZeros(piece.subarray(piece.length - (given - decoder.bytesWritten)));
        for await (const more of input) requireZeros(more);
        return;
      }
    }
    if (given === 0) throw damagedGzip('it is empty');
  };
  yield* throughZlib(feed, decoder, 'gzip data');
}

function requireZeros(bytes: Buffer): void {
  if (!bytes.every(byte => byte === 0)) throw damagedGzip('other bytes follow its end');
}

/**
 * zlib-sync inflates the first member, where nearly always everything is; it does not say how much input a member
 * took, so its end is found by the trailer (CRC and length of what came out). Members after the first, and a member
 * so small that its trailer says nothing, are left to node:zlib.
 */
async function* gunzipWithZlibSync(
  input: PieceReader,
  library: ZlibSync,
): AsyncGenerator<Uint8Array, void, undefined> {
  const first = await firstPiece(input);
  const inflate = new library.Inflate({ chunkSize: zlibChunkBytes, windowBits: -15 });
  const output = new CheckedOutput();
  let piece: Buffer | undefined = first.body;
  let before: Buffer = Buffer.alloc(0);
  for (;;) {
    inflate.push(piece ?? Buffer.alloc(0), library.Z_SYNC_FLUSH);
    const ended = inflate.err === library.Z_STREAM_END;
    if (ended && piece === first.body) {
      input.giveBack(first.whole);
      yield* gunzipWithNode(input);
      return;
    }
    const chunk = takeResult(inflate, library);
    if (chunk !== undefined) {
      output.count(chunk);
      yield chunk;
    }
    if (ended) break;
    // An empty push at the end of input fetches what zlib still holds; nothing more means that the end is missing.
    if (piece === undefined && chunk === undefined) throw damagedGzip('it is truncated');
    // A copy: the source may use its buffer again.
    before = Buffer.from((piece ?? before).subarray(-trailerBytes));
    piece = await input.next();
  }
  yield* afterFirstMember(input, Buffer.concat([before, piece ?? Buffer.alloc(0)]), output.trailer());
}

/** The header and as much of the body as comes with it. */
async function firstPiece(input: PieceReader): Promise<{ whole: Buffer; body: Buffer }> {
  let whole: Buffer = Buffer.alloc(0);
  for (;;) {
    const piece = await input.next();
    if (piece === undefined) throw damagedGzip(whole.length === 0 ? 'it is empty' : 'it is truncated');
    whole = Buffer.concat([whole, piece]);
    const length = gzipHeaderLength(whole);
    if (length !== undefined) return { whole, body: whole.subarray(length) };
  }
}

function takeResult(inflate: ZlibSyncInflate, library: ZlibSync): Buffer | undefined {
  if (inflate.err < 0 && inflate.err !== library.Z_BUF_ERROR) throw damagedGzip('it cannot be inflated');
  const result = inflate.result;
  return Buffer.isBuffer(result) && result.length > 0 ? result : undefined;
}

/** Counts and sums what was inflated, for comparison with the trailer. */
class CheckedOutput {
  #crc = 0;
  #size = 0;

  count(chunk: Buffer): void {
    this.#crc = crc32(chunk, this.#crc);
    this.#size = (this.#size + chunk.length) % 2 ** 32;
  }

  trailer(): Buffer {
    const bytes = Buffer.alloc(trailerBytes);
    bytes.writeUInt32LE(this.#crc, 0);
    bytes.writeUInt32LE(this.#size, 4);
    return bytes;
  }
}

/** @param near the last bytes given to the engine; the member ended somewhere in them */
async function* afterFirstMember(
  input: PieceReader,
  near: Buffer,
  trailer: Buffer,
): AsyncGenerator<Uint8Array, void, undefined> {
  let window = near;
  while (window.length < near.length + trailerBytes) {
    const piece = await input.next();
    if (piece === undefined) break;
    window = Buffer.concat([window, piece]);
  }
  const at = window.indexOf(trailer);
  if (at < 0) throw damagedGzip('its checksum does not match, or it is truncated');
  if (window.indexOf(trailer, at + 1) >= 0) throw damagedGzip('its end is ambiguous');
  const rest = window.subarray(at + trailerBytes);
  if (rest.length > 0) input.giveBack(Buffer.from(rest));
  const next = await input.next();
  if (next === undefined) return;
  if (next[0] !== 0) {
    input.giveBack(next);
    yield* gunzipWithNode(input);
    return;
  }
  requireZeros(next);
  for await (const piece of input) requireZeros(piece);
}
