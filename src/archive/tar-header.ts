// One 512-byte tar header: POSIX.1-1988 ustar, its v7 ancestor, and what GNU tar and star made of it.
// https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html (ustar Interchange Format)
// Told apart as Go's archive/tar does, because that is what other image tools read with; numbers are strict.
import { BuildError, printable } from '../errors.ts';
import type { BytePath } from '../tree/entry.ts';
import { showPath } from '../tree/entry.ts';

export const blockSize = 512;

/** Which of the dialects a header is written in; decides where its name's prefix and device numbers are. */
export type TarDialect = 'v7' | 'ustar' | 'star' | 'gnu';

/** Fields of a header as they stand, before extended headers change them. Texts are latin1 bytes. */
export interface RawHeader {
  readonly dialect: TarDialect;
  /** Type flag character; `\0` of old archives is kept. */
  readonly typeFlag: string;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** A BuildError for bytes that are no valid tar. */
export function malformed(message: string, name?: string): BuildError {
  const where = name === undefined ? '' : ` (entry '${printable(showPath(name))}')`;
  return new BuildError('integrity', `the tar archive is damaged: ${message}${where}`);
}

export function isZeroBlock(block: Buffer, at: number): boolean {
  // The first byte is a name's; a block that starts with 0 is looked at whole, in 4-byte steps.
  if (block[at] !== 0) return false;
  for (let i = at; i < at + blockSize; i += 4) {
    if (block.readInt32LE(i) !== 0) return false;
  }
  return true;
}

function textField(block: Buffer, start: number, length: number): string {
  const end = start + length;
  let stop = start;
  while (stop < end && block[stop] !== 0) stop++;
  return block.toString('latin1', start, stop);
}

/** Octal digits between spaces and NULs; nothing at all counts as 0. */
function octal(block: Buffer, start: number, length: number): number | undefined {
  let i = start;
  let end = start + length;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  while (end > i && (block[end - 1] === 0x20 || block[end - 1] === 0)) end--;
  let value = 0;
  for (; i < end; i++) {
    const digit = (block[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

/** GNU's base-256: first byte 0x80 (positive) or 0xff (two's complement), then big-endian bytes. */
function base256(block: Buffer, start: number, length: number): number | undefined {
  const negative = block[start] === 0xff;
  if (!negative && block[start] !== 0x80) return undefined;
  let value = 0;
  for (let i = start + 1; i < start + length; i++) {
    const byte = block[i] ?? 0;
    value = value * 256 + (negative ? 255 - byte : byte);
    if (value > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return negative ? -value - 1 : value;
}

/** @throws BuildError `integrity` when the field is neither octal nor base-256 within a safe integer */
export function numberField(
  block: Buffer,
  start: number,
  length: number,
  what: string,
  name?: string,
): number {
  const binary = ((block[start] ?? 0) & 0x80) !== 0;
  const value = binary ? base256(block, start, length) : octal(block, start, length);
  if (value === undefined) throw malformed(`the ${what} field is not a number`, name);
  return value;
}

function verifyChecksum(block: Buffer, at: number): void {
  let unsigned = 256;
  let high = 0;
  for (let i = at; i < at + 148; i++) {
    const byte = block[i] as number;
    unsigned += byte;
    high += byte >> 7;
  }
  for (let i = at + 156; i < at + blockSize; i++) {
    const byte = block[i] as number;
    unsigned += byte;
    high += byte >> 7;
  }
  const stored = octal(block, at + 148, 8);
  // Old tars summed signed bytes.
  if (stored !== unsigned && stored !== unsigned - 256 * high) {
    throw malformed('a header has a wrong checksum');
  }
}

/** Whether a block has a header's checksum; recognises v7 archives, which have no magic. */
export function hasHeaderChecksum(block: Buffer): boolean {
  if (block.length < blockSize || isZeroBlock(block, 0)) return false;
  try {
    verifyChecksum(block, 0);
    return true;
  } catch {
    return false;
  }
}

function dialectOf(block: Buffer, at: number): TarDialect {
  if (block.readUInt32LE(at + 257) !== 0x61747375) return 'v7'; // 'usta'
  const rest = block.toString('latin1', at + 261, at + 265);
  if (rest.startsWith('r\0'))
    return block.toString('latin1', at + 508, at + 512) === 'tar\0' ? 'star' : 'ustar';
  return rest === 'r  \0' ? 'gnu' : 'v7';
}

/**
 * The bytes before the name. GNU headers have times at that place, but an old Go release wrote GNU magic over a ustar
 * prefix: what does not read as a time is a prefix.
 */
function prefixOf(block: Buffer, at: number, dialect: TarDialect): string {
  if (dialect === 'v7' || block[at + 345] === 0) return '';
  if (dialect === 'star') return textField(block, at + 345, 131);
  if (dialect === 'ustar') return textField(block, at + 345, 155);
  const isTime = (start: number): boolean =>
    ((block[start] ?? 0) & 0x80) !== 0 || octal(block, start, 12) !== undefined;
  return isTime(at + 345) && isTime(at + 357) ? '' : textField(block, at + 345, 155);
}

/**
 * Reads the header at `at`.
 * @throws BuildError `integrity` on a wrong checksum or a field that is no number
 */
export function parseHeader(buffer: Buffer, at: number): RawHeader {
  verifyChecksum(buffer, at);
  const dialect = dialectOf(buffer, at);
  const typeFlag = String.fromCharCode(buffer[at + 156] ?? 0);
  const prefix = prefixOf(buffer, at, dialect);
  const name = textField(buffer, at, 100);
  const isDevice = (typeFlag === '3' || typeFlag === '4') && dialect !== 'v7';
  return {
    dialect,
    typeFlag,
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: buffer[at + 157] === 0 ? '' : textField(buffer, at + 157, 100),
    mode: numberField(buffer, at + 100, 8, 'mode', name),
    uid: numberField(buffer, at + 108, 8, 'uid', name),
    gid: numberField(buffer, at + 116, 8, 'gid', name),
    size: numberField(buffer, at + 124, 12, 'size', name),
    mtime: numberField(buffer, at + 136, 12, 'mtime', name),
    devMajor: isDevice ? numberField(buffer, at + 329, 8, 'device major', name) : 0,
    devMinor: isDevice ? numberField(buffer, at + 337, 8, 'device minor', name) : 0,
  };
}

/**
 * A name from an archive as a path below the root: leading and doubled slashes and `.` components go away.
 * @param raw latin1 bytes
 * @throws BuildError `hostile` for a `..` component, `integrity` for NUL or a component over 255 bytes
 */
export function cleanName(raw: string, what = 'name'): BytePath {
  if (isClean(raw)) return raw as BytePath;
  const parts: string[] = [];
  for (const part of raw.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      throw new BuildError(
        'hostile',
        `the archive has an entry whose ${what} leaves the root: '${printable(showPath(raw.slice(0, 300)))}'`,
        { facts: { path: showPath(raw.slice(0, 300)) } },
      );
    }
    if (part.includes('\0')) throw malformed(`a ${what} has a NUL byte in it`, raw.slice(0, 300));
    if (part.length > 255) throw malformed(`a ${what} has a component over 255 bytes`, raw.slice(0, 300));
    parts.push(part);
  }
  return parts.join('/') as BytePath;
}

/** Short names without a dot, slash or NUL at a place where it would matter: the common case, decided without splitting. */
function isClean(raw: string): boolean {
  if (raw.length > 255) return false;
  let atStart = true;
  for (let i = 0; i < raw.length; i++) {
    const c = raw.charCodeAt(i);
    if (c === 0) return false;
    if (atStart && (c === 0x2f || c === 0x2e)) return false;
    atStart = c === 0x2f;
  }
  return !atStart;
}
