// Looks at a database file before LMDB maps it: reading a mapped page that is beyond the end of the file, or following
// a wild page number, would kill the process where an error can be handled. Field offsets are those of `MDB_meta` in
// lmdb-js's copy of liblmdb (mdb.c), little-endian.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { errnoOf } from '../errors.ts';
import { declareC } from '../host/ffi.ts';
import { isWhole, maxWalkBytes } from './meta-pages.ts';

const magic = 0xbeefc0de;
const at = { magic: 24, pageSize: 48, freeRoot: 88, mainRoot: 136, lastPage: 144, transaction: 152 } as const;
const headerBytes = 168;
const noPage = 0xffff_ffff_ffff_ffffn;

/** mended: the file was cut off and has been filled up with empty pages, so that LMDB can report what is missing. */
export type DatabaseState = 'absent' | 'fine' | 'mended' | 'damaged';

/**
 * @param path of the data file
 * @param isAlone nobody else uses the database meanwhile: then its pages are looked through too
 */
export function checkDatabase(path: string, isAlone: boolean): DatabaseState {
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'absent';
    throw error;
  }
  try {
    const state = examine(fd);
    // Another process may have been writing a header just then.
    const found = state === 'damaged' ? examine(fd) : state;
    // A file that was filled up needs the look most: what was cut off may have been in use.
    const isThere = found === 'fine' || found === 'mended';
    return isThere && isAlone && !hasWholePages(path, fd) ? 'damaged' : found;
  } finally {
    closeSync(fd);
  }
}

function examine(fd: number): DatabaseState {
  const stat = fstatSync(fd);
  if (!stat.isFile()) return 'damaged';
  if (stat.size === 0) return 'absent';
  if (endianness() !== 'LE') return 'fine'; // nothing known about the layout there
  const first = readHeader(fd, 0);
  if (!first) return 'damaged';
  const second = readHeader(fd, first.pageSize);
  if (!second) return 'damaged';
  const newest = second.transaction > first.transaction ? second : first;
  // Asked after the headers were read: pages are written before the header that counts them.
  const pages = BigInt(Math.floor(fstatSync(fd).size / first.pageSize));
  const isInside = (root: bigint) => root === noPage || root < pages;
  if (!isInside(newest.mainRoot) || !isInside(newest.freeRoot)) return 'damaged';
  if (newest.lastPage < pages) return 'fine';
  // A file may end before its last page when that one is free, so this alone is no damage.
  return fillUp(fd, (newest.lastPage + 1n) * BigInt(first.pageSize)) ? 'mended' : 'damaged';
}

function hasWholePages(path: string, fd: number): boolean {
  if (endianness() !== 'LE' || fstatSync(fd).size > maxWalkBytes) return true;
  const first = readHeader(fd, 0);
  const second = first && readHeader(fd, first.pageSize);
  if (!first || !second) return false;
  const newest = second.transaction > first.transaction ? second : first;
  return isWhole(path, first.pageSize, [newest.mainRoot, newest.freeRoot]);
}

const maxFillBytes = 1n << 40n;

/** fallocate(2) neither shrinks a file nor touches what is in it, so it may race with a writer. */
function fillUp(fd: number, sizeBytes: bigint): boolean {
  if (sizeBytes > maxFillBytes) return false;
  const fallocate = declareC('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
  return fallocate(fd, 0, 0, Number(sizeBytes)) === 0;
}

interface Header {
  readonly pageSize: number;
  readonly freeRoot: bigint;
  readonly mainRoot: bigint;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

function readHeader(fd: number, position: number): Header | undefined {
  const bytes = Buffer.alloc(headerBytes);
  if (readSync(fd, bytes, 0, headerBytes, position) < headerBytes) return undefined;
  const pageSize = bytes.readUInt32LE(at.pageSize);
  if (bytes.readUInt32LE(at.magic) !== magic) return undefined;
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  return {
    pageSize,
    freeRoot: bytes.readBigUInt64LE(at.freeRoot),
    mainRoot: bytes.readBigUInt64LE(at.mainRoot),
    lastPage: bytes.readBigUInt64LE(at.lastPage),
    transaction: bytes.readBigUInt64LE(at.transaction),
  };
}
