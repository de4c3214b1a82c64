// Walks the frames and blocks of a zstd stream (RFC 8878, section 3) without decoding them: finds where a frame ends,
// refuses windows and dictionaries that we do not accept before any decoder allocates for them.
import { BuildError } from '../errors.ts';

const magic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
/** Longest frame header: magic, descriptor, window, dictionary id, content size. */
const maxHeader = 18;

type Need =
  | { readonly kind: 'header' }
  | { readonly kind: 'skip'; left: number }
  | { readonly kind: 'block-header'; readonly checksum: boolean }
  | { readonly kind: 'body'; left: number; readonly checksum: boolean; readonly last: boolean }
  | { readonly kind: 'checksum'; left: number };

/** Called with the bytes of data frames; `last` with the final bytes of each. */
export type FrameBytes = (bytes: Uint8Array, last: boolean) => void;

export class ZstdFrames {
  readonly #maxWindow: number;
  #need: Need = { kind: 'header' };
  #held: Buffer = Buffer.alloc(0);
  #frames = 0;
  #hasChecksum = false;
  #checksum = Buffer.alloc(0);

  constructor(maxWindowLog: number) {
    this.#maxWindow = 2 ** maxWindowLog;
  }

  /** Whether the frame whose bytes are being emitted ends in a checksum. */
  get hasChecksum(): boolean {
    return this.#hasChecksum;
  }

  /** The checksum of that frame, once its last bytes are emitted: low 32 bits of XXH64 of the content. */
  get checksum(): number {
    return this.#checksum.length < 4 ? 0 : this.#checksum.readUInt32LE(0);
  }

  /** @throws BuildError `integrity` */
  push(chunk: Uint8Array, emit: FrameBytes): void {
    let bytes: Buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (bytes.length > 0) {
      const taken = this.#step(bytes, emit);
      bytes = bytes.subarray(taken);
    }
  }

  /** @throws BuildError `integrity` when the stream stops inside a frame, or had none */
  finish(): void {
    if (this.#need.kind !== 'header' || this.#held.length > 0) throw damagedZstd('it is truncated');
    if (this.#frames === 0) throw damagedZstd('it is empty');
  }

  #step(bytes: Buffer, emit: FrameBytes): number {
    const need = this.#need;
    switch (need.kind) {
      case 'header':
        return this.#header(bytes, emit);
      case 'block-header':
        return this.#blockHeader(bytes, need.checksum, emit);
      case 'skip': {
        const count = Math.min(need.left, bytes.length);
        need.left -= count;
        if (need.left === 0) this.#need = { kind: 'header' };
        return count;
      }
      case 'body':
      case 'checksum':
        return this.#body(bytes, need, emit);
    }
  }

  /** Gathers `length` bytes across chunks. @returns them, or undefined when there are fewer so far */
  #gather(bytes: Buffer, length: number): { all: Buffer; taken: number } | undefined {
    const missing = length - this.#held.length;
    if (missing > bytes.length) {
      this.#held = Buffer.concat([this.#held, bytes]);
      return undefined;
    }
    const all =
      this.#held.length === 0
        ? bytes.subarray(0, length)
        : Buffer.concat([this.#held, bytes.subarray(0, missing)]);
    this.#held = Buffer.alloc(0);
    return { all, taken: missing };
  }

  #header(bytes: Buffer, emit: FrameBytes): number {
    const start = Buffer.concat([this.#held, bytes.subarray(0, maxHeader)]);
    const length = headerLength(start);
    const got = this.#gather(bytes, length ?? start.length + 1);
    if (got === undefined) return bytes.length;
    if (isSkippable(got.all)) {
      const left = got.all.readUInt32LE(4);
      this.#need = left === 0 ? { kind: 'header' } : { kind: 'skip', left };
      this.#frames++;
      return got.taken;
    }
    checkFrame(got.all, this.#maxWindow);
    this.#hasChecksum = ((got.all[4] ?? 0) & 4) !== 0;
    this.#checksum = Buffer.alloc(0);
    this.#need = { kind: 'block-header', checksum: this.#hasChecksum };
    emit(got.all, false);
    return got.taken;
  }

  #blockHeader(bytes: Buffer, checksum: boolean, emit: FrameBytes): number {
    const got = this.#gather(bytes, 3);
    if (got === undefined) return bytes.length;
    const word = got.all.readUIntLE(0, 3);
    const type = (word >> 1) & 3;
    if (type === 3) throw damagedZstd('it has a block of a reserved type');
    const size = word >> 3;
    if (size > 128 * 1024) throw damagedZstd('it has a block over 128 KiB');
    const last = (word & 1) === 1;
    this.#need = { kind: 'body', left: type === 1 ? 1 : size, checksum, last };
    const over = this.#endOfBody(emit, got.all);
    if (!over) emit(got.all, false);
    return got.taken;
  }

  #body(bytes: Buffer, need: Extract<Need, { left: number }>, emit: FrameBytes): number {
    const count = Math.min(need.left, bytes.length);
    need.left -= count;
    const part = bytes.subarray(0, count);
    if (need.kind === 'checksum') this.#checksum = Buffer.concat([this.#checksum, part]);
    if (!this.#endOfBody(emit, part)) emit(part, false);
    return count;
  }

  /** When a block or checksum is complete, moves on. @returns whether `part` was emitted as the end of a frame */
  #endOfBody(emit: FrameBytes, part: Buffer): boolean {
    const need = this.#need;
    if ((need.kind !== 'body' && need.kind !== 'checksum') || need.left > 0) return false;
    if (need.kind === 'body' && !need.last) this.#need = { kind: 'block-header', checksum: need.checksum };
    else if (need.kind === 'body' && need.checksum) this.#need = { kind: 'checksum', left: 4 };
    else {
      this.#need = { kind: 'header' };
      this.#frames++;
      emit(part, true);
      return true;
    }
    return false;
  }
}

function damagedZstd(detail: string): BuildError {
  return new BuildError('integrity', `the zstd data is damaged: ${detail}`);
}

function isSkippable(header: Buffer): boolean {
  return (header.readUInt32LE(0) & 0xfffffff0) >>> 0 === skippableMagic;
}

/** @returns bytes of the frame header, undefined while that cannot be said */
function headerLength(start: Buffer): number | undefined {
  if (start.length < 5) return undefined;
  if (isSkippable(start)) return 8;
  if (start.readUInt32LE(0) !== magic) throw damagedZstd('it has no zstd header');
  const descriptor = start[4] ?? 0;
  const single = (descriptor >> 5) & 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeFlag = descriptor >> 6;
  return 5 + (1 - single) + dictionary + (sizeFlag === 0 ? single : 1 << sizeFlag);
}

function checkFrame(header: Buffer, maxWindow: number): void {
  const descriptor = header[4] ?? 0;
  if ((descriptor & 8) !== 0) throw damagedZstd('it uses a reserved flag');
  if ((descriptor & 3) !== 0) {
    throw new BuildError('unsupported', 'the zstd data needs a dictionary, which image layers never have');
  }
  const window =
    ((descriptor >> 5) & 1) === 1 ? contentSize(header, descriptor >> 6) : windowSize(header[5] ?? 0);
  if (window > maxWindow) {
    throw new BuildError(
      'integrity',
      `the zstd data needs a window over ${maxWindow / 2 ** 20} MiB to unpack`,
    );
  }
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

/** Of a frame whose window is its content. */
function contentSize(header: Buffer, sizeFlag: number): number {
  if (sizeFlag === 0) return header[5] ?? 0;
  if (sizeFlag === 1) return header.readUInt16LE(5) + 256;
  return sizeFlag === 2 ? header.readUInt32LE(5) : Number(header.readBigUInt64LE(5));
}
