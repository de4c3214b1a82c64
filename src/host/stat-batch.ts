// lstat(2) of all names in a directory, as bytes to compare: no object is made for a name, and no call of node:fs.
import { constants } from 'node:fs';
import { declareC, lastErrno, SystemError } from './ffi.ts';

const { S_IFDIR, S_IFMT } = constants;
const symlinkNoFollow = 0x100;
/** Type, mode, inode, size and the times but that of the last access. */
const mask = 0x01 | 0x02 | 0x40 | 0x80 | 0x100 | 0x200;

/** Where struct statx has what (statx(2)). */
const field = { mode: 28, ctime: 96, mtime: 112 } as const;

/**
 * Which bytes of a stat count. identity: which file it is and when it last changed (mode, inode, size; ctime, mtime, both
 * device numbers). appearance: what a copy has as well (mode; size; seconds of mtime; the device that it stands for).
 */
const parts = {
  identity: [
    [28, 48],
    [96, 108],
    [112, 124],
    [128, 144],
  ],
  appearance: [
    [28, 30],
    [40, 48],
    [112, 120],
    [128, 136],
  ],
} as const;

export type StatFields = keyof typeof parts;

export class StatBatch {
  readonly #statx = declareC('int statx(int dirfd, const void *path, int flags, uint mask, void *buffer)');
  readonly #stat = Buffer.alloc(256);
  readonly #parts: readonly (readonly [from: number, to: number])[];
  readonly #recordBytes: number;

  constructor(fields: StatFields) {
    this.#parts = parts[fields];
    this.#recordBytes = this.#parts.reduce((sum, [from, to]) => sum + to - from, 0);
  }

  /**
   * Of a directory the mode counts alone: what is in it is looked at itself.
   * @param names latin1, all in the directory
   * @param sink is given the names and what was found, in the order of the names
   * @returns which of them are directories, and the latest change of any other, in seconds since 1970
   * @throws SystemError when one is gone or cannot be looked at
   */
  stat(
    dirFd: number,
    names: readonly string[],
    sink: (bytes: Uint8Array) => void,
  ): { readonly directories: readonly number[]; readonly latestSec: number } {
    const text = Buffer.from(`${names.join('\0')}\0`, 'latin1');
    const records = Buffer.alloc(names.length * this.#recordBytes);
    const stat = this.#stat;
    const directories: number[] = [];
    let latestSec = 0;
    let at = 0;
    for (let i = 0; i < names.length; i++) {
      const name = names[i] ?? '';
      if (this.#statx(dirFd, text.subarray(at), symlinkNoFollow, mask, stat) < 0) {
        throw new SystemError(lastErrno(), 'statx', name);
      }
      at += name.length + 1;
      const isDirectory = (stat.readUInt16LE(field.mode) & S_IFMT) === S_IFDIR;
      this.#record(records, i * this.#recordBytes, isDirectory);
      if (isDirectory) directories.push(i);
      else latestSec = Math.max(latestSec, secondsOf(stat, field.ctime), secondsOf(stat, field.mtime));
    }
    sink(text);
    sink(records);
    return { directories, latestSec };
  }

  #record(records: Buffer, at: number, isDirectory: boolean): void {
    if (isDirectory) {
      this.#stat.copy(records, at, field.mode, field.mode + 2);
      return;
    }
    for (const [from, to] of this.#parts) {
      this.#stat.copy(records, at, from, to);
      at += to - from;
    }
  }
}

function secondsOf(stat: Buffer, at: number): number {
  return stat.readUInt32LE(at) + stat.readInt32LE(at + 4) * 2 ** 32;
}
