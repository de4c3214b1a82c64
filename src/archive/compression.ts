// Which compression some bytes are in, and the way out of it. Told by the first bytes, never by a name.
import { BuildError } from '../errors.ts';
import { filterThrough, findProgram } from '../host/filter-program.ts';
import { gunzip } from './gzip.ts';
import { blockSize, hasHeaderChecksum } from './tar-header.ts';
import { unzstd } from './zstd.ts';

/** How bytes are packed; `tar`: not at all, and the first block is a tar header; `none`: anything else. */
export type Packing = 'gzip' | 'zstd' | 'bzip2' | 'xz' | 'tar' | 'none';

/** As many first bytes as {@link detectCompression} looks at. */
export const detectionBytes = blockSize;

/** @param head the first bytes of a file, 512 of them unless it is shorter */
export function detectCompression(head: Uint8Array): Packing {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (bytes.length >= 3 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8) return 'gzip';
  if (startsWith(bytes, [0x28, 0xb5, 0x2f, 0xfd])) return 'zstd';
  // A skippable frame may come first.
  if (bytes.length >= 4 && (bytes.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zstd';
  if (startsWith(bytes, [0x42, 0x5a, 0x68])) return isTar(bytes) ? 'tar' : 'bzip2';
  if (startsWith(bytes, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])) return 'xz';
  return isTar(bytes) ? 'tar' : 'none';
}

function isTar(bytes: Buffer): boolean {
  return hasHeaderChecksum(bytes.subarray(0, blockSize));
}

function startsWith(bytes: Buffer, magic: readonly number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, i) => bytes[i] === byte);
}

/**
 * The bytes of `source` unpacked; memory stays bounded. A source may use its buffer again for the next chunk. `tar` and `none` pass through unchanged.
 * @throws BuildError `integrity` for damaged, truncated or trailing bytes (after data was given, so commit last),
 *   `unsupported` when xz or bzip2 is asked for on a machine without that program
 */
export function decompress(source: AsyncIterable<Uint8Array>, packing: Packing): AsyncIterable<Uint8Array> {
  switch (packing) {
    case 'gzip':
      return gunzip(source);
    case 'zstd':
      return unzstd(source);
    case 'xz':
    case 'bzip2':
      return throughProgram(source, packing);
    case 'tar':
    case 'none':
      return source;
  }
}

/** The program is one of this machine, found before any image's files could be in the way. */
function throughProgram(source: AsyncIterable<Uint8Array>, name: 'xz' | 'bzip2'): AsyncIterable<Uint8Array> {
  const program = findProgram(name);
  if (program === undefined) {
    throw new BuildError(
      'unsupported',
      `unpacking ${name} needs the program '${name}', which is not on PATH`,
      {
        hint: `install it (Debian: apt-get install ${name === 'xz' ? 'xz-utils' : 'bzip2'}), or use gzip or zstd`,
      },
    );
  }
  return filterThrough(
    source,
    program,
    name === 'xz' ? ['-d', '-c', '-q', '--format=xz'] : ['-d', '-c', '-q'],
  );
}
