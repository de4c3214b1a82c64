// Our own strict tar reader: bytes in, entries out, nothing asynchronous, so it cannot stall.
// https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html, with GNU's and star's additions.
// It agrees with Go's archive/tar, which other image tools read with, on what an archive contains, and refuses what
// parsers are known to disagree about: sizes on entries that have no content, doubled extended headers, lengths that
// lie. After the end marker nothing is parsed; whoever pushes the bytes hashes all of them.
import { BuildError, printable } from '../errors.ts';
import type { BytePath, Entry, EntryType } from '../tree/entry.ts';
import { showPath } from '../tree/entry.ts';
import type { RawHeader } from './tar-header.ts';
import { blockSize, cleanName, isZeroBlock, malformed, parseHeader } from './tar-header.ts';
import type { PaxRecords, PaxSparse } from './tar-pax.ts';
import { parsePax } from './tar-pax.ts';
import type { SparsePart } from './tar-sparse.ts';
import { checkSparseMap, oldSparseExtension, oldSparseHeader, pairs, SparseMapText } from './tar-sparse.ts';

/**
 * An entry as an archive has it: the name cleaned (relative, '' is the root directory), a hard link's target likewise;
 * a symlink's text untouched.
 */
export type TarEntry = Entry;

/** Receives an archive in its order. Chunks are only valid during the call. */
export interface TarHandler {
  /**
   * An entry begins; `size` bytes of data follow in calls of `data` (and `zeros`).
   * @param dataOffset where its content begins in the stream; -1 when it is not stored in one piece (a sparse file)
   */
  entry(entry: TarEntry, dataOffset: number): void;
  data(chunk: Uint8Array): void;
  /** A hole of a sparse file. Without this member holes arrive as zeros in `data`. */
  zeros?(count: number): void;
  /** The archive ended properly. */
  end?(): void;
}

export interface TarLimits {
  /** Bytes of extended headers and sparse maps for one entry; default 1 MiB, as Go has it. */
  readonly headerBytes?: number;
  /** Content bytes of one entry, holes included; default 2^53 - 1. */
  readonly entryBytes?: number;
}

type State =
  | 'header'
  | 'meta' // body of an x, g, L or K header
  | 'old-sparse-map'
  | 'pax-sparse-map'
  | 'data'
  | 'ended';

const types: Readonly<Record<string, EntryType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
  S: 'file',
};
const maxId = 0xfffffffe;
const maxSymlink = 4095;
const zeroChunk = new Uint8Array(64 * 1024);

export class TarReader {
  readonly #handler: TarHandler;
  readonly #headerLimit: number;
  readonly #entryLimit: number;
  #state: State = 'header';
  /** Bytes of the stream consumed so far. */
  #offset = 0;
  /** Bytes to drop before the next state's work: padding after content. */
  #padding = 0;
  /** A block that came in pieces. */
  readonly #carry = Buffer.alloc(blockSize);
  #carried = 0;
  #zeroBlocks = 0;
  /** Content (or header body) bytes still to come, without padding. */
  #remaining = 0;
  #metaType = '';
  #meta: Buffer[] = [];
  #metaBytes = 0;
  #pax: PaxRecords | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;
  /** The header of a sparse file whose map is being read. */
  #pending: RawHeader | undefined;
  #map: SparsePart[] = [];
  #mapText: SparseMapText | undefined;
  #mapIndex = 0;
  /** Size of the sparse file when expanded, its position so far; `#expanding` while its parts are read. */
  #realSize = 0;
  #position = 0;
  #expanding = false;

  constructor(handler: TarHandler, limits: TarLimits = {}) {
    this.#handler = handler;
    this.#headerLimit = limits.headerBytes ?? 1024 * 1024;
    this.#entryLimit = limits.entryBytes ?? Number.MAX_SAFE_INTEGER;
  }

  /** Whether the end marker was seen; what is pushed after it is ignored. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  /**
   * Takes the next bytes of the archive and calls the handler for what they complete.
   * @throws BuildError `integrity` for a damaged archive, `hostile` for a name that leaves the root, `unsupported` for
   *   a type of entry that means nothing in an image; and whatever the handler throws
   */
  push(chunk: Uint8Array): void {
    const buffer = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (at < buffer.length && this.#state !== 'ended') {
      const taken = this.#step(buffer, at);
      at += taken;
      this.#offset += taken;
    }
  }

  /**
   * Says that no more bytes come. A missing end marker and missing padding are accepted, as elsewhere.
   * @throws BuildError `integrity` when the archive stops inside an entry or header
   */
  finish(): void {
    const inside = this.#state === 'header' ? this.#hasMeta() : this.#state !== 'ended';
    const partial = this.#carried > 0 && !this.#carry.subarray(0, this.#carried).every(byte => byte === 0);
    if (inside || partial) throw malformed('it is truncated');
    this.#state = 'ended';
    this.#handler.end?.();
  }

  /** Does one piece of work on the bytes from `at`. @returns how many were used, at least 1 */
  #step(buffer: Buffer, at: number): number {
    if (this.#padding > 0) {
      const count = Math.min(this.#padding, buffer.length - at);
      this.#padding -= count;
      return count;
    }
    if (this.#state === 'data') return this.#takeData(buffer, at);
    if (this.#state === 'meta') return this.#takeMeta(buffer, at);
    return this.#takeBlock(buffer, at);
  }

  #takeBlock(buffer: Buffer, at: number): number {
    if (this.#carried === 0 && buffer.length - at >= blockSize) {
      this.#block(buffer, at, blockSize);
      return blockSize;
    }
    const count = Math.min(blockSize - this.#carried, buffer.length - at);
    buffer.copy(this.#carry, this.#carried, at, at + count);
    this.#carried += count;
    if (this.#carried === blockSize) {
      this.#carried = 0;
      this.#block(this.#carry, 0, count);
    }
    return count;
  }

  /** @param ahead bytes of this block that #offset does not count yet */
  #block(buffer: Buffer, at: number, ahead: number): void {
    if (this.#state === 'old-sparse-map') this.#oldMapBlock(buffer.subarray(at, at + blockSize));
    else if (this.#state === 'pax-sparse-map') this.#paxMapBlock(buffer.subarray(at, at + blockSize));
    else if (isZeroBlock(buffer, at)) this.#zeroBlock();
    else this.#header(buffer, at, ahead);
  }

  #zeroBlock(): void {
    if (this.#hasMeta()) throw malformed('it ends after an extended header');
    this.#zeroBlocks++;
    if (this.#zeroBlocks === 2) this.#state = 'ended';
  }

  #hasMeta(): boolean {
    return this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
  }

  #header(buffer: Buffer, at: number, ahead: number): void {
    if (this.#zeroBlocks > 0) throw malformed('an entry follows half an end marker');
    const header = parseHeader(buffer, at);
    if (header.size < 0) throw malformed('an entry has a negative size', header.name);
    if ('xgLK'.includes(header.typeFlag)) {
      this.#beginMeta(header);
      return;
    }
    if (header.typeFlag === 'S' && header.dialect === 'gnu') {
      this.#beginOldSparse(header, buffer, at);
      return;
    }
    const sparse = this.#pax?.sparse;
    if (sparse !== undefined) this.#beginPaxSparse(header, sparse);
    else this.#begin(header, this.#pax?.size ?? header.size, this.#offset + ahead);
  }

  // Extended headers

  #beginMeta(header: RawHeader): void {
    const { typeFlag, size } = header;
    const repeated =
      (typeFlag === 'x' && this.#pax !== undefined) ||
      (typeFlag === 'L' && this.#longName !== undefined) ||
      (typeFlag === 'K' && this.#longLink !== undefined);
    if (repeated) throw malformed('an entry has two extended headers of the same kind', header.name);
    this.#spend(typeFlag === 'g' ? size + blockSize : size);
    this.#metaType = typeFlag;
    this.#meta = [];
    this.#remaining = size;
    this.#state = 'meta';
    if (size === 0) this.#endMeta();
  }

  #spend(bytes: number): void {
    this.#metaBytes += bytes;
    if (this.#metaBytes > this.#headerLimit) {
      throw new BuildError(
        'integrity',
        `the tar archive has over ${this.#headerLimit} bytes of headers for one entry`,
      );
    }
  }

  #takeMeta(buffer: Buffer, at: number): number {
    const count = Math.min(this.#remaining, buffer.length - at);
    this.#meta.push(Buffer.from(buffer.subarray(at, at + count)));
    this.#remaining -= count;
    if (this.#remaining === 0) this.#endMeta();
    return count;
  }

  #endMeta(): void {
    const body = Buffer.concat(this.#meta);
    this.#meta = [];
    this.#padding = paddingOf(body.length);
    this.#state = 'header';
    if (this.#metaType === 'x') this.#pax = parsePax(body);
    // A global header is checked and otherwise ignored, as containerd and Docker do.
    else if (this.#metaType === 'g') parsePax(body);
    else {
      const stop = body.indexOf(0);
      const text = body.toString('latin1', 0, stop < 0 ? body.length : stop);
      if (this.#metaType === 'L') this.#longName = text;
      else this.#longLink = text;
    }
  }

  // Entries

  #begin(header: RawHeader, size: number, dataOffset: number): void {
    const entry = this.#entryOf(header, size);
    this.#clearMeta();
    this.#remaining = size;
    if (size > this.#entryLimit) throw tooLarge(entry.path, this.#entryLimit);
    if (size > 0) this.#state = 'data';
    this.#handler.entry(entry, dataOffset);
  }

  #clearMeta(): void {
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#metaBytes = 0;
  }

  #nameOf(header: RawHeader): string {
    const pax = this.#pax?.path;
    if (this.#longName !== undefined && pax !== undefined) {
      throw malformed('an entry has both a GNU and a PAX name', header.name);
    }
    return this.#longName ?? this.#pax?.sparse?.name ?? pax ?? header.name;
  }

  #linkOf(header: RawHeader): string {
    const pax = this.#pax?.linkPath;
    if (this.#longLink !== undefined && pax !== undefined) {
      throw malformed('an entry has both a GNU and a PAX link target', header.name);
    }
    return this.#longLink ?? pax ?? header.linkName;
  }

  #entryOf(header: RawHeader, size: number): TarEntry {
    const rawName = this.#nameOf(header);
    const type = typeOf(header, rawName);
    const path = cleanName(rawName);
    if (type !== 'file' && size > 0) throw malformed(`a ${type} claims to have content`, rawName);
    if (path === '' && type !== 'directory') {
      throw new BuildError('hostile', `the archive would replace the root directory with a ${type}`);
    }
    const pax = this.#pax;
    const entry: Mutable<TarEntry> = {
      path,
      type,
      mode: header.mode & 0o7777,
      uid: checkId(pax?.uid ?? header.uid, rawName),
      gid: checkId(pax?.gid ?? header.gid, rawName),
      mtimeSec: pax?.mtimeSec ?? header.mtime,
      mtimeNsec: pax?.mtimeNsec ?? 0,
      size,
    };
    if (type === 'symlink' || type === 'hardlink')
      entry.linkTarget = targetOf(type, this.#linkOf(header), path);
    if (type === 'char' || type === 'block') {
      checkDevice(header);
      entry.devMajor = header.devMajor;
      entry.devMinor = header.devMinor;
    }
    if (pax?.xattrs !== undefined) entry.xattrs = pax.xattrs;
    return entry;
  }

  #takeData(buffer: Buffer, at: number): number {
    if (this.#expanding) return this.#takeSparse(buffer, at);
    const count = Math.min(this.#remaining, buffer.length - at);
    this.#remaining -= count;
    // State first: the handler may throw, and a later push must not repeat the bytes.
    if (this.#remaining === 0) this.#endData(this.#offset + count);
    this.#handler.data(count === buffer.length ? buffer : buffer.subarray(at, at + count));
    return count;
  }

  /** @param end position in the stream after the content; entries begin on multiples of a block */
  #endData(end: number): void {
    this.#state = 'header';
    this.#padding = paddingOf(end);
  }

  // Sparse files

  #beginOldSparse(header: RawHeader, buffer: Buffer, at: number): void {
    if (this.#pax?.sparse !== undefined) throw malformed('a file is sparse in two ways', header.name);
    this.#pending = header;
    this.#map = [];
    const { realSize, extended } = oldSparseHeader(buffer, at, this.#map);
    this.#realSize = realSize;
    if (extended) this.#state = 'old-sparse-map';
    else this.#beginSparse(header, this.#pax?.size ?? header.size);
  }

  #oldMapBlock(block: Buffer): void {
    this.#spend(blockSize);
    const header = this.#pending;
    if (oldSparseExtension(block, this.#map) || header === undefined) return;
    this.#beginSparse(header, this.#pax?.size ?? header.size);
  }

  #beginPaxSparse(header: RawHeader, sparse: PaxSparse): void {
    const stored = this.#pax?.size ?? header.size;
    if (typeOf(header, this.#nameOf(header)) !== 'file') {
      throw malformed('something that is no file has a sparse map', header.name);
    }
    if (sparse.realSize === undefined) throw malformed('a sparse file does not say its size', header.name);
    this.#realSize = sparse.realSize;
    if (sparse.major === undefined || sparse.major === 0) {
      this.#map = pairs(sparse.map ?? []);
      this.#beginSparse(header, stored);
      return;
    }
    if (sparse.major !== 1 || (sparse.minor ?? 0) !== 0 || sparse.map !== undefined) {
      throw new BuildError(
        'unsupported',
        `sparse format ${sparse.major}.${sparse.minor ?? 0} in a tar archive is unknown`,
      );
    }
    this.#pending = header;
    this.#remaining = stored;
    this.#mapText = new SparseMapText();
    this.#state = 'pax-sparse-map';
  }

  #paxMapBlock(block: Buffer): void {
    this.#spend(blockSize);
    this.#remaining -= blockSize;
    const header = this.#pending;
    if (this.#remaining < 0)
      throw malformed('the map of a sparse file is longer than its content', header?.name);
    const map = this.#mapText?.push(block);
    if (map === undefined || header === undefined) return;
    this.#map = map;
    this.#beginSparse(header, this.#remaining);
  }

  /** The map is known: announces the expanded file and its first hole. */
  #beginSparse(header: RawHeader, stored: number): void {
    checkSparseMap(this.#map, this.#realSize, stored);
    const entry = this.#entryOf(header, this.#realSize);
    if (this.#realSize > this.#entryLimit) throw tooLarge(entry.path, this.#entryLimit);
    this.#clearMeta();
    this.#pending = undefined;
    this.#mapText = undefined;
    this.#remaining = stored;
    this.#position = 0;
    this.#mapIndex = 0;
    this.#expanding = stored > 0;
    this.#state = stored > 0 ? 'data' : 'header';
    this.#handler.entry(entry, -1);
    if (stored > 0) this.#skipEmptyParts();
    else this.#hole(this.#realSize);
  }

  /** Moves to the next part that has bytes, reporting the hole before it. */
  #skipEmptyParts(): void {
    for (let part = this.#map[this.#mapIndex]; part !== undefined; part = this.#map[++this.#mapIndex]) {
      if (part.length === 0) continue;
      this.#hole(part.offset);
      return;
    }
  }

  #takeSparse(buffer: Buffer, at: number): number {
    const part = this.#map[this.#mapIndex];
    if (part === undefined) throw new BuildError('internal', 'a sparse map ended before its content');
    const count = Math.min(part.offset + part.length - this.#position, buffer.length - at);
    this.#remaining -= count;
    this.#position += count;
    this.#handler.data(buffer.subarray(at, at + count));
    if (this.#position === part.offset + part.length) {
      this.#mapIndex++;
      this.#skipEmptyParts();
    }
    if (this.#remaining === 0) {
      this.#expanding = false;
      this.#hole(this.#realSize);
      this.#endData(this.#offset + count);
    }
    return count;
  }

  /** Reports zeros from the current position up to `until`. */
  #hole(until: number): void {
    let count = until - this.#position;
    this.#position = Math.max(this.#position, until);
    if (count <= 0) return;
    if (this.#handler.zeros !== undefined) {
      this.#handler.zeros(count);
      return;
    }
    for (; count > 0; count -= zeroChunk.length) {
      this.#handler.data(count < zeroChunk.length ? zeroChunk.subarray(0, count) : zeroChunk);
    }
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function paddingOf(bytes: number): number {
  const rest = bytes % blockSize;
  return rest === 0 ? 0 : blockSize - rest;
}

/** Old archives have no type for directories: a slash at the end of the name says it. */
function typeOf(header: RawHeader, rawName: string): EntryType {
  const type = types[header.typeFlag];
  if (type === undefined || (header.typeFlag === 'S' && header.dialect !== 'gnu')) {
    const shown = `'${printable(header.typeFlag)}'`;
    throw new BuildError(
      'unsupported',
      `the tar archive has an entry of unknown type ${shown}: '${printable(showPath(rawName))}'`,
    );
  }
  return header.typeFlag === '\0' && rawName.endsWith('/') ? 'directory' : type;
}

function checkId(id: number, name: string): number {
  if (id < 0 || id > maxId) throw malformed(`an owner id is out of range: ${id}`, name);
  return id;
}

/** Linux has 12 bits for the major and 20 for the minor number. */
function checkDevice(header: RawHeader): void {
  const { devMajor, devMinor } = header;
  if (devMajor < 0 || devMajor > 0xfff || devMinor < 0 || devMinor > 0xfffff) {
    throw malformed(`a device number is out of range: ${devMajor}:${devMinor}`, header.name);
  }
}

function targetOf(type: 'symlink' | 'hardlink', raw: string, path: BytePath): string {
  if (type === 'symlink') {
    if (raw === '') throw malformed('a symlink has no target', path);
    if (raw.length > maxSymlink) throw malformed('a symlink has a target over 4095 bytes', path);
    return raw;
  }
  const target = cleanName(raw, 'hard link target');
  if (target === '')
    throw new BuildError('hostile', `a hard link names the root directory: '${printable(showPath(path))}'`);
  if (target === path) throw malformed('a hard link names itself', path);
  return target;
}

function tooLarge(path: BytePath, limit: number): BuildError {
  return new BuildError(
    'integrity',
    `an entry of the tar archive has over ${limit} bytes: '${printable(showPath(path))}'`,
  );
}
