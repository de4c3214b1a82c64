// Tar archives built byte by byte, also such as no tar program would write.
import assert from 'node:assert/strict';
import { type TarEntry, TarReader } from '../../src/archive/tar-reader.ts';

/** Fields of a header as they are to stand in it: a text is written as it is, a number in octal. Names are latin1. */
export interface RawFields {
  readonly name?: string;
  readonly type?: string;
  readonly mode?: number | string;
  readonly uid?: number | string | Buffer;
  readonly gid?: number | string | Buffer;
  readonly size?: number | string | Buffer;
  readonly mtime?: number | string | Buffer;
  readonly link?: string;
  readonly magic?: string;
  readonly major?: number | string | Buffer;
  readonly minor?: number | string | Buffer;
  readonly prefix?: string;
  /** Overwrites bytes from an offset, before the checksum is made. */
  readonly patch?: readonly (readonly [offset: number, bytes: Buffer])[];
  /** Instead of the right one. */
  readonly checksum?: string;
}

function put(block: Buffer, at: number, length: number, value: number | string | Buffer | undefined): void {
  if (value === undefined) return;
  if (Buffer.isBuffer(value)) value.copy(block, at, 0, length);
  else if (typeof value === 'string') block.write(value, at, length, 'latin1');
  else block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, length, 'latin1');
}

export function header(fields: RawFields): Buffer {
  const block = Buffer.alloc(512);
  put(block, 0, 100, fields.name);
  put(block, 100, 8, fields.mode ?? 0o644);
  put(block, 108, 8, fields.uid ?? 0);
  put(block, 116, 8, fields.gid ?? 0);
  put(block, 124, 12, fields.size ?? 0);
  put(block, 136, 12, fields.mtime ?? 0);
  put(block, 156, 1, fields.type ?? '0');
  put(block, 157, 100, fields.link);
  put(block, 257, 8, fields.magic ?? 'ustar\x0000');
  put(block, 329, 8, fields.major);
  put(block, 337, 8, fields.minor);
  put(block, 345, 155, fields.prefix);
  for (const [offset, bytes] of fields.patch ?? []) bytes.copy(block, offset);
  block.write('        ', 148, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(fields.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

/** Content with its padding. */
export function padded(content: string | Buffer): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function file(name: string, content: string | Buffer = '', fields: RawFields = {}): Buffer {
  return Buffer.concat([header({ name, size: content.length, ...fields }), padded(content)]);
}

export function directory(name: string, fields: RawFields = {}): Buffer {
  return header({ name, type: '5', mode: 0o755, ...fields });
}

export function symlink(name: string, link: string, fields: RawFields = {}): Buffer {
  return header({ name, type: '2', mode: 0o777, link, ...fields });
}

export function hardlink(name: string, link: string, fields: RawFields = {}): Buffer {
  return header({ name, type: '1', link, ...fields });
}

/** A record of an extended header with the right length. */
export function record(key: string, value: string): string {
  let length = key.length + value.length + 3;
  while (`${length}`.length + key.length + value.length + 3 !== length) {
    length = `${length}`.length + key.length + value.length + 3;
  }
  return `${length} ${key}=${value}\n`;
}

/** An extended header; `body` is latin1. */
export function pax(body: string, type = 'x'): Buffer {
  return Buffer.concat([header({ name: 'PaxHeaders.0/x', type, size: body.length }), padded(body)]);
}

/** GNU's long name (L) or long link target (K). */
export function longName(text: string, type: 'L' | 'K' = 'L'): Buffer {
  const body = `${text}\0`;
  const magic = 'ustar  \0';
  return Buffer.concat([header({ name: '././@LongLink', type, size: body.length, magic }), padded(body)]);
}

export const end: Buffer = Buffer.alloc(1024);

/** An archive of these parts with its end marker. */
export function archive(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, end]);
}

/** What a reader made of an archive. */
export interface ReadEntry extends TarEntry {
  readonly content: Buffer;
  readonly offset: number;
}

/** Reads a whole archive, given in pieces of `step` bytes; holes of sparse files come as zeros. */
export function readAll(bytes: Buffer, step = bytes.length + 1): ReadEntry[] {
  const entries: { entry: TarEntry; offset: number; chunks: Buffer[] }[] = [];
  const reader = new TarReader({
    entry: (entry, offset) => void entries.push({ entry, offset, chunks: [] }),
    data: chunk => void entries.at(-1)?.chunks.push(Buffer.from(chunk)),
  });
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
  reader.finish();
  return entries.map(({ entry, offset, chunks }) => ({ ...entry, offset, content: Buffer.concat(chunks) }));
}

/** The only entry of an archive, which must read the same in any pieces. */
export function only(bytes: Buffer): ReadEntry {
  const entries = readAll(bytes);
  assert.equal(entries.length, 1);
  const [entry] = entries;
  assert.ok(entry);
  for (const step of [1, 7, 512, 513]) assert.deepEqual(readAll(bytes, step), entries, `in steps of ${step}`);
  return entry;
}
