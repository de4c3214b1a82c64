// Which content a file had when it looked exactly as it looks now, so that unchanged files are not read again. The rule
// for files that changed at the moment they were read is git's (https://git-scm.com/docs/racy-git).
// One value per context: 100,000 files are one database read of 9 MB (25 ms) where a value per file costs ten times that.
import { algorithmOf, type Digest, hexOf } from '../image/digest.ts';
import type { Meta } from '../store/store.ts';
import type { FileStamp, StatIndex } from '../tree/stat-index.ts';

/** dev, ino, size, mtime, ctime, and the sha256: 8 bytes each and 32. */
const wordsPerRecord = 9;
const recordBytes = wordsPerRecord * 8;
const stampBytes = 40;

/**
 * A file is taken for unchanged only when its change time lies further back than this when it is read: two changes
 * within one tick of the file system's clock have the same time. 2 s is the coarsest that is around (FAT, some NFS).
 */
const racyNs = 2_000_000_000n;

/**
 * @param scope names the set of files, such as the absolute path of a context
 * @param nowNs nanoseconds since 1970 by the clock that the file system stamps with
 */
export function openStatIndex(
  meta: Meta,
  scope: string,
  nowNs: () => bigint = () => BigInt(Date.now()) * 1_000_000n,
): StatIndex {
  return new PackedStatIndex(meta, scope, nowNs);
}

/** Records stand in the order in which files were asked for, so the next walk finds each right after the one before. */
class PackedStatIndex implements StatIndex {
  readonly #meta: Meta;
  readonly #scope: string;
  readonly #nowNs: () => bigint;
  /** What {@link save} keeps, in order: a record that was here, or a new one. */
  readonly #kept: (number | Buffer)[] = [];
  readonly #fresh = new Map<bigint, Buffer>();
  /** Read when the first file is asked for: where none is, its 9 MB for 100,000 files are not. */
  #packed: Packed | undefined;
  #asked = 0;
  #passedOver = 0;
  #cursor = 0;
  #byInode: Map<bigint, number> | undefined;

  constructor(meta: Meta, scope: string, nowNs: () => bigint) {
    this.#meta = meta;
    this.#scope = scope;
    this.#nowNs = nowNs;
  }

  #load(): Packed {
    this.#packed ??= packed(unpack(this.#meta.get('stat', this.#scope)));
    return this.#packed;
  }

  passOver(files: number): void {
    this.#passedOver += files;
  }

  lookup(stamp: FileStamp): Digest | undefined {
    this.#asked++;
    const { bytes, isUsed } = this.#load();
    const fresh = this.#fresh.get(stamp.ino);
    if (fresh && fresh.compare(recordOf(stamp, ''), 0, stampBytes, 0, stampBytes) === 0) {
      return sha256Of(fresh, 0);
    }
    const at = this.#find(stamp);
    if (at === undefined) return undefined;
    this.#cursor = at + 1;
    if (isUsed[at] === 0) this.#kept.push(at);
    isUsed[at] = 1;
    return sha256Of(bytes, at * recordBytes);
  }

  #find(stamp: FileStamp): number | undefined {
    if (this.#matches(this.#cursor, stamp)) return this.#cursor;
    this.#byInode ??= inodes(this.#load().words);
    const at = this.#byInode.get(BigInt.asUintN(64, stamp.ino));
    return at !== undefined && this.#matches(at, stamp) ? at : undefined;
  }

  #matches(at: number, stamp: FileStamp): boolean {
    const { words } = this.#load();
    const first = at * wordsPerRecord;
    return (
      words[first + 1] === BigInt.asUintN(64, stamp.ino) &&
      words[first + 4] === BigInt.asUintN(64, stamp.ctimeNs) &&
      words[first + 3] === BigInt.asUintN(64, stamp.mtimeNs) &&
      words[first + 2] === BigInt.asUintN(64, stamp.size) &&
      words[first] === BigInt.asUintN(64, stamp.dev)
    );
  }

  remember(stamp: FileStamp, digest: Digest): void {
    if (algorithmOf(digest) !== 'sha256') return;
    const latest = this.#nowNs() - racyNs;
    // A file as young as this may change once more without looking different.
    if (stamp.ctimeNs > latest || stamp.mtimeNs > latest) return;
    const record = recordOf(stamp, hexOf(digest));
    this.#fresh.set(stamp.ino, record);
    this.#kept.push(record);
  }

  save(): void {
    if (this.#packed === undefined && this.#fresh.size === 0) return;
    const { bytes, isUsed } = this.#load();
    const kept = [...this.#kept, ...this.#unaskedToKeep(isUsed)];
    if (this.#fresh.size === 0 && kept.length === isUsed.length) return;
    const records = kept.map(each =>
      typeof each === 'number' ? bytes.subarray(each * recordBytes, (each + 1) * recordBytes) : each,
    );
    if (records.length === 0) this.#meta.delete('stat', this.#scope);
    else this.#meta.set('stat', this.#scope, Buffer.concat(records).toString('base64'));
  }

  /** Records that were not asked for: those of files that were passed over, unless far more must be of files that are gone. */
  #unaskedToKeep(isUsed: Uint8Array): number[] {
    const expected = this.#passedOver - this.#asked;
    const unasked: number[] = [];
    if (expected <= 0) return unasked;
    for (const [at, used] of isUsed.entries()) if (used === 0) unasked.push(at);
    return unasked.length > 2 * expected ? [] : unasked;
  }
}

interface Packed {
  readonly bytes: Buffer;
  readonly words: BigUint64Array;
  readonly isUsed: Uint8Array;
}

function packed(bytes: Buffer): Packed {
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  return { bytes, words, isUsed: new Uint8Array(bytes.length / recordBytes) };
}

/** Thirty-two bytes are a digest whatever they are: the check of digests from outside would cost 1 µs for each file. */
function sha256Of(bytes: Buffer, record: number): Digest {
  return `sha256:${bytes.toString('hex', record + stampBytes, record + recordBytes)}` as Digest;
}

/** In memory of its own, so that it can be read as 64-bit words. */
function unpack(value: unknown): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.alloc(0);
  const whole = bytes.length % recordBytes === 0 ? bytes : Buffer.alloc(0);
  return whole.byteOffset % 8 === 0 ? whole : Buffer.from(new Uint8Array(whole).buffer);
}

function inodes(words: BigUint64Array): Map<bigint, number> {
  const map = new Map<bigint, number>();
  for (let first = 0; first < words.length; first += wordsPerRecord) {
    map.set(words[first + 1] ?? 0n, first / wordsPerRecord);
  }
  return map;
}

function recordOf(stamp: FileStamp, hex: string): Buffer {
  const record = Buffer.alloc(recordBytes);
  const words = new BigUint64Array(5);
  words[0] = stamp.dev;
  words[1] = stamp.ino;
  words[2] = stamp.size;
  words[3] = stamp.mtimeNs;
  words[4] = stamp.ctimeNs;
  record.set(new Uint8Array(words.buffer), 0);
  record.write(hex, stampBytes, 'hex');
  return record;
}
