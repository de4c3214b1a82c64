// What is remembered about files between builds, so that unchanged ones are not read again. context/ asks, cache/ keeps it.
import type { Digest } from '../image/digest.ts';

/** What the kernel says about a regular file: the fields of a `BigIntStats`. Equal stamps are taken for equal content. */
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
  /**
   * So many files of the set are perhaps not asked for, because they are known to be unchanged all together: what the
   * index has of them stays.
   */
  passOver(files: number): void;
  /** Keeps what was looked up or remembered since the index was opened, and forgets everything else. */
  save(): void;
}
