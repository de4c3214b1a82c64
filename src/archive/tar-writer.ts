// The deterministic tar writer of layers: the same entries give the same bytes, whatever the machine.
// https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
// ustar where it suffices; an extended (PAX) header where it does not, in the form that Go's archive/tar writes.
// tar-stream writes the outer archives of export/; a layer needs what it cannot say: names that are no UTF-8, xattr
// values that are bytes, and a synchronous path that batches small files into large writes.
import { BuildError, printable } from '../errors.ts';
import type { Entry, EntryType } from '../tree/entry.ts';
import { showPath } from '../tree/entry.ts';
import { blockSize } from './tar-header.ts';

const batchBytes = 1024 * 1024;
/** Content at least this large goes to the sink as it is. */
const directBytes = 64 * 1024;
const maxOctal8 = 0o7777777;
const maxOctal12 = 0o77777777777;
const maxPaxBytes = 1024 * 1024;

const typeFlags: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** A name that fits a header, possibly in two parts. */
interface NameFields {
  readonly prefix: string;
  readonly name: string;
}

export class TarWriter {
  readonly #sink: (chunk: Uint8Array) => void;
  readonly #batch = Buffer.alloc(batchBytes);
  #used = 0;
  /** Content bytes that the current entry still owes. */
  #owed = 0;
  #padding = 0;
  #path = '';

  /** @param sink receives the archive in order; a chunk is only valid during the call */
  constructor(sink: (chunk: Uint8Array) => void) {
    this.#sink = sink;
  }

  /**
   * Begins an entry; for a file `size` bytes of {@link data} must follow. Modification times are written in whole
   * seconds, as all layers have them (the fraction is dropped, never rounded up); owners as numbers only.
   * @throws BuildError `unsupported` for what tar cannot hold, `internal` when the entry before is incomplete
   */
  entry(entry: Entry): void {
    this.#endEntry();
    const rawName = entry.type === 'directory' ? (entry.path === '' ? './' : `${entry.path}/`) : entry.path;
    const size = entry.type === 'file' ? entry.size : 0;
    const records = paxRecords(entry, rawName, size);
    if (records.length > 0) this.#pax(rawName, records, entry.path);
    const name = splitName(rawName) ?? { prefix: '', name: shortened(rawName) };
    this.#header(typeFlags[entry.type], name, {
      mode: entry.mode & 0o7777,
      uid: fits(entry.uid, maxOctal8),
      gid: fits(entry.gid, maxOctal8),
      size: fits(size, maxOctal12),
      mtime: fits(entry.mtimeSec, maxOctal12),
      link: linkField(entry),
      devMajor: entry.devMajor ?? 0,
      devMinor: entry.devMinor ?? 0,
    });
    this.#owed = size;
    this.#padding = (blockSize - (size % blockSize)) % blockSize;
    this.#path = entry.path;
  }

  /** @throws BuildError `internal` when it is more than the entry announced */
  data(chunk: Uint8Array): void {
    if (chunk.length > this.#owed) {
      throw new BuildError(
        'internal',
        `more content than announced for '${printable(showPath(this.#path))}'`,
      );
    }
    this.#owed -= chunk.length;
    this.#write(chunk);
  }

  /** Writes the end marker (two zero blocks) and flushes. */
  finish(): void {
    this.#endEntry();
    this.#zeros(2 * blockSize);
    this.#flush();
  }

  #endEntry(): void {
    if (this.#owed > 0) {
      throw new BuildError(
        'internal',
        `${this.#owed} bytes are missing from '${printable(showPath(this.#path))}'`,
      );
    }
    this.#zeros(this.#padding);
    this.#padding = 0;
  }

  #write(chunk: Uint8Array): void {
    if (chunk.length >= directBytes) {
      this.#flush();
      this.#sink(chunk);
      return;
    }
    if (this.#used + chunk.length > batchBytes) this.#flush();
    this.#batch.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  #zeros(count: number): void {
    if (count === 0) return;
    if (this.#used + count > batchBytes) this.#flush();
    this.#batch.fill(0, this.#used, this.#used + count);
    this.#used += count;
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#sink(this.#batch.subarray(0, this.#used));
    this.#used = 0;
  }

  #pax(rawName: string, records: readonly string[], path: string): void {
    const body = Buffer.from(records.join(''), 'latin1');
    if (body.length > maxPaxBytes) {
      throw new BuildError(
        'unsupported',
        `'${printable(showPath(path))}' has over 1 MiB of names and attributes`,
      );
    }
    const name = { prefix: '', name: paxHeaderName(rawName) };
    const plain = { mode: 0, uid: 0, gid: 0, mtime: 0, link: '', devMajor: 0, devMinor: 0 };
    this.#header('x', name, { ...plain, size: body.length });
    this.#write(body);
    this.#zeros((blockSize - (body.length % blockSize)) % blockSize);
  }

  #header(typeFlag: string, name: NameFields, fields: HeaderFields): void {
    if (this.#used + blockSize > batchBytes) this.#flush();
    const block = this.#batch;
    const at = this.#used;
    this.#used += blockSize;
    block.fill(0, at, at + blockSize);
    block.write(name.name, at, 100, 'latin1');
    writeOctal(block, at + 100, 8, fields.mode);
    writeOctal(block, at + 108, 8, fields.uid);
    writeOctal(block, at + 116, 8, fields.gid);
    writeOctal(block, at + 124, 12, fields.size);
    writeOctal(block, at + 136, 12, fields.mtime);
    block.write(typeFlag, at + 156, 1, 'latin1');
    if (fields.link !== '') block.write(fields.link, at + 157, 100, 'latin1');
    block.write('ustar\x0000', at + 257, 8, 'latin1');
    writeOctal(block, at + 329, 8, fields.devMajor);
    writeOctal(block, at + 337, 8, fields.devMinor);
    if (name.prefix !== '') block.write(name.prefix, at + 345, 155, 'latin1');
    let sum = 8 * 0x20;
    for (let i = at; i < at + blockSize; i++) sum += block[i] as number;
    writeOctal(block, at + 148, 7, sum);
    block[at + 155] = 0x20;
  }
}

interface HeaderFields {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly link: string;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Octal digits that fill the field but for its last byte, which stays NUL. */
function writeOctal(block: Buffer, at: number, length: number, value: number): void {
  let rest = value;
  for (let i = at + length - 2; i >= at; i--) {
    block[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return false;
  }
  return true;
}

/** A name in 100 bytes, or as prefix (155) and name at a slash; undefined when neither is possible. */
function splitName(name: string): NameFields | undefined {
  if (!isAscii(name)) return undefined;
  if (name.length <= 100) return { prefix: '', name };
  const slash = name.lastIndexOf('/', Math.min(name.length - 2, 155));
  const rest = name.length - slash - 1;
  if (slash <= 0 || rest > 100 || rest === 0) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** What stands in the plain header beside a PAX path, for readers that know no PAX. */
function shortened(name: string): string {
  return asciiOf(name).slice(0, 100);
}

function asciiOf(text: string): string {
  return text.replace(/[\x80-\xff]/g, '');
}

function paxHeaderName(name: string): string {
  const trimmed = asciiOf(name).replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  const dir = slash < 0 ? '' : `${trimmed.slice(0, slash)}/`;
  return `${dir}PaxHeaders.0/${trimmed.slice(slash + 1)}`.slice(0, 100);
}

function fits(value: number, max: number): number {
  return value >= 0 && value <= max ? value : 0;
}

function linkField(entry: Entry): string {
  return asciiOf(entry.linkTarget ?? '').slice(0, 100);
}

/** One record; its length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const bare = key.length + value.length + 3;
  let length = bare + String(bare).length;
  if (String(length).length !== String(bare).length) length = bare + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** What ustar cannot hold, sorted by key. */
function paxRecords(entry: Entry, rawName: string, size: number): string[] {
  const values = new Map<string, string>();
  if (splitName(rawName) === undefined) values.set('path', rawName);
  const link = entry.linkTarget ?? '';
  if (link.length > 100 || !isAscii(link)) values.set('linkpath', link);
  if (size > maxOctal12) values.set('size', String(size));
  if (entry.uid > maxOctal8) values.set('uid', String(entry.uid));
  if (entry.gid > maxOctal8) values.set('gid', String(entry.gid));
  if (entry.mtimeSec < 0 || entry.mtimeSec > maxOctal12) values.set('mtime', String(entry.mtimeSec));
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) {
    if (name.includes('=')) {
      const shown = printable(showPath(entry.path));
      throw new BuildError(
        'unsupported',
        `an extended attribute of '${shown}' has '=' in its name, which tar cannot hold`,
      );
    }
    values.set(`SCHILY.xattr.${name}`, value);
  }
  if (values.size === 0) return [];
  return [...values].sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([key, value]) => paxRecord(key, value));
}
