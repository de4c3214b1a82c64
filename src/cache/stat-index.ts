// Which content a file had when it looked exactly as it looks now, so that unchanged files are not read again. The rule
// for files that changed at the moment they were read is git's (https://git-scm.com/docs/racy-git).
// One value per context: 100,000 files are one database read of 9 MB (25 ms) where a value per file costs ten times that.
import { type Digest, digestFromHash, hexOf, isDigest } from '../image/digest.ts';
import type { Meta } from '../store/store.ts';

/** What the kernel says about a regular file: the fields of a `BigIntStats`. */
export interface FileStamp {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface StatIndex {
  /** The content of a file that has not changed since {@link remember}; undefined when it must be read. */
  lookup(stamp: FileStamp): Digest | undefined;
  /**
   * @param stamp taken before the content was read
   * @param digest sha256 of what was read
   */
  remember(stamp: FileStamp, digest: Digest): void;
  /** Keeps what was looked up or remembered since the index was opened, and forgets everything else. */
  save(): void;
}

/** dev, ino, size, mtime, ctime: 8 bytes each; sha256: 32. */
const recordBytes = 72;
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
  const known = new Map<string, Buffer>();
  for (const record of recordsOf(meta.get('stat', scope))) {
    known.set(record.toString('latin1', 0, stampBytes), record);
  }
  const used = new Map<string, Buffer>();
  let changed = false;
  return {
    lookup(stamp) {
      const key = keyOf(stamp);
      const record = known.get(key);
      if (!record) return undefined;
      used.set(key, record);
      return digestFromHash(record.toString('hex', stampBytes));
    },
    remember(stamp, digest) {
      if (!isDigest(digest) || !digest.startsWith('sha256:')) return;
      const newest = stamp.ctimeNs > stamp.mtimeNs ? stamp.ctimeNs : stamp.mtimeNs;
      if (newest + racyNs > nowNs()) return; // it may change once more without looking different
      const key = keyOf(stamp);
      const record = Buffer.concat([Buffer.from(key, 'latin1'), Buffer.from(hexOf(digest), 'hex')]);
      known.set(key, record);
      used.set(key, record);
      changed = true;
    },
    save() {
      if (!changed && used.size === known.size) return;
      if (used.size === 0) meta.delete('stat', scope);
      else meta.set('stat', scope, Buffer.concat([...used.values()]).toString('base64'));
      changed = false;
    },
  };
}

function* recordsOf(value: unknown): Iterable<Buffer> {
  if (typeof value !== 'string') return;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length % recordBytes !== 0) return;
  for (let at = 0; at < bytes.length; at += recordBytes) yield bytes.subarray(at, at + recordBytes);
}

const scratch = Buffer.alloc(stampBytes);

function keyOf(stamp: FileStamp): string {
  scratch.writeBigUInt64LE(BigInt.asUintN(64, stamp.dev), 0);
  scratch.writeBigUInt64LE(BigInt.asUintN(64, stamp.ino), 8);
  scratch.writeBigUInt64LE(BigInt.asUintN(64, stamp.size), 16);
  scratch.writeBigUInt64LE(BigInt.asUintN(64, stamp.mtimeNs), 24);
  scratch.writeBigUInt64LE(BigInt.asUintN(64, stamp.ctimeNs), 32);
  return scratch.toString('latin1');
}
