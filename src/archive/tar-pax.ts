// Extended headers: records of `length key=value\n`, POSIX.1-2001.
// https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html (pax Extended Header)
// Values are bytes: an xattr may hold anything, a name need be no UTF-8.
import { malformed } from './tar-header.ts';

/** What an extended header says about the entry after it. Names and values are latin1 bytes. */
export interface PaxRecords {
  path?: string;
  linkPath?: string;
  size?: number;
  uid?: number;
  gid?: number;
  mtimeSec?: number;
  mtimeNsec?: number;
  xattrs?: Record<string, string>;
  sparse?: PaxSparse;
}

/** GNU.sparse.* of formats 0.0, 0.1 and 1.0. */
export interface PaxSparse {
  major?: number;
  minor?: number;
  name?: string;
  /** Size of the expanded file: GNU.sparse.size (0.x) or GNU.sparse.realsize (1.0). */
  realSize?: number;
  /** offset, length, offset, length ... (0.0 and 0.1) */
  map?: number[];
}

const maxXattrName = 255;
const maxXattrValue = 65536;

/** @throws BuildError `integrity` unless `text` is a plain decimal number that fits a safe integer */
export function decimal(text: string, what: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw malformed(`${what} in an extended header is not a number`);
  return value;
}

function applyTime(text: string, into: PaxRecords): void {
  const match = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) throw malformed('mtime in an extended header is not a time');
  const whole = Number(match[2]);
  if (!Number.isSafeInteger(whole)) throw malformed('mtime in an extended header is out of range');
  const nsec = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  const negative = match[1] === '-';
  into.mtimeSec = negative ? -whole - (nsec > 0 ? 1 : 0) : whole;
  if (Object.is(into.mtimeSec, -0)) into.mtimeSec = 0;
  into.mtimeNsec = negative && nsec > 0 ? 1_000_000_000 - nsec : nsec;
}

function applyXattr(name: string, value: string, into: PaxRecords): void {
  if (name === '' || name.includes('\0') || name.length > maxXattrName) {
    throw malformed('an extended attribute has an unusable name');
  }
  if (value.length > maxXattrValue) throw malformed('an extended attribute is larger than 64 KiB');
  into.xattrs ??= {};
  into.xattrs[name] = value;
}

function applySparse(key: string, value: string, into: PaxRecords): void {
  into.sparse ??= {};
  const sparse = into.sparse;
  const what = `GNU.sparse.${key}`;
  if (key === 'name') sparse.name = value;
  else if (key === 'major') sparse.major = decimal(value, what);
  else if (key === 'minor') sparse.minor = decimal(value, what);
  else if (key === 'size' || key === 'realsize') sparse.realSize = decimal(value, what);
  else if (key === 'map') sparse.map = value.split(',').map(part => decimal(part, what));
  else if (key === 'offset' || key === 'numbytes') {
    sparse.map ??= [];
    // 0.0 gives its map as alternating records.
    if ((sparse.map.length % 2 === 0) !== (key === 'offset')) throw malformed(`${what} is out of order`);
    sparse.map.push(decimal(value, what));
  }
}

function applyRecord(key: string, value: string, into: PaxRecords): void {
  if (key.startsWith('SCHILY.xattr.')) {
    applyXattr(key.slice('SCHILY.xattr.'.length), value, into);
    return;
  }
  if (value === '') return; // the value of the ordinary header counts
  if (key.startsWith('GNU.sparse.')) {
    applySparse(key.slice('GNU.sparse.'.length), value, into);
    return;
  }
  if (key === 'path' || key === 'linkpath') {
    if (value.includes('\0')) throw malformed(`${key} in an extended header has a NUL byte in it`);
    if (key === 'path') into.path = value;
    else into.linkPath = value;
  } else if (key === 'size') into.size = decimal(value, 'size');
  else if (key === 'uid') into.uid = decimal(value, 'uid');
  else if (key === 'gid') into.gid = decimal(value, 'gid');
  else if (key === 'mtime') applyTime(value, into);
}

/**
 * Parses the body of an `x` header, every record strictly; keys that say nothing about a file in an image are skipped.
 * @throws BuildError `integrity` on the first malformed record
 */
export function parsePax(body: Buffer): PaxRecords {
  const records: PaxRecords = {};
  let at = 0;
  while (at < body.length) {
    let space = at;
    while (space < body.length && space - at < 8 && body[space] !== 0x20) space++;
    const digits = body.toString('latin1', at, space);
    const length = body[space] === 0x20 && /^[0-9]{1,8}$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = body.indexOf(0x3d, space);
    if (length === 0 || end > body.length || body[end - 1] !== 0x0a || equals < 0 || equals >= end - 1) {
      throw malformed('an extended header has a malformed record');
    }
    const key = body.toString('latin1', space + 1, equals);
    if (key === '' || key.includes('\0')) throw malformed('an extended header has a record without a key');
    applyRecord(key, body.toString('latin1', equals + 1, end - 1), records);
    at = end;
  }
  return records;
}
