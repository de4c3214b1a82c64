// The header of a gzip member (RFC 1952, section 2.3).
import { crc32 } from 'node:zlib';
import { BuildError } from '../errors.ts';

/** A header may carry a file name and a comment of any length; nobody writes large ones. */
const maxHeaderBytes = 64 * 1024;

const flag = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;

export function damagedGzip(detail: string): BuildError {
  return new BuildError('integrity', `the gzip data is damaged: ${detail}`);
}

/**
 * @param bytes from the start of a member
 * @returns length of the header, or undefined when more bytes are needed to know
 * @throws BuildError `integrity`
 */
export function gzipHeaderLength(bytes: Buffer): number | undefined {
  const length = measure(bytes);
  if ((length ?? bytes.length) > maxHeaderBytes) throw damagedGzip('its header is too long');
  return length;
}

function measure(bytes: Buffer): number | undefined {
  if (bytes.length < 10) return undefined;
  const flags = bytes[3] ?? 0;
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8 || (flags & flag.reserved) !== 0) {
    throw damagedGzip('it has no gzip header');
  }
  let at = 10;
  if ((flags & flag.extra) !== 0) {
    if (bytes.length < at + 2) return undefined;
    at += 2 + bytes.readUInt16LE(at);
  }
  for (const text of [flag.name, flag.comment]) {
    if ((flags & text) === 0) continue;
    const end = at < bytes.length ? bytes.indexOf(0, at) : -1;
    if (end < 0) return undefined;
    at = end + 1;
  }
  if ((flags & flag.headerCrc) !== 0) {
    if (bytes.length < at + 2) return undefined;
    if (bytes.readUInt16LE(at) !== (crc32(bytes.subarray(0, at)) & 0xffff)) {
      throw damagedGzip('its header has a wrong checksum');
    }
    at += 2;
  }
  return at <= bytes.length ? at : undefined;
}
