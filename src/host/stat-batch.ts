// lstat(2) of all names in a directory, as bytes to compare: no object is made for a name, and no call of node:fs.
import { constants } from 'node:fs';
import { declareC, lastErrno, SystemError } from './ffi.ts';

const { S_IFDIR, S_IFMT } = constants;
const symlinkNoFollow = 0x100;
/** Type, mode, links, inode, size and the times but that of the last access. */
const mask = 0x01 | 0x02 | 0x04 | 0x40 | 0x80 | 0x100 | 0x200;

/** Where struct statx has what (statx(2)). */
const field = { mode: 28, ino: 32, size: 40, ctime: 96, mtime: 112, end: 144 } as const;
const headBytes = 20; // mode with its padding, ino, size
const tailBytes = 48; // ctime, mtime, rdev, dev
const recordBytes = headBytes + tailBytes;

export class StatBatch {
  readonly #statx = declareC('int statx(int dirfd, const void *path, int flags, uint mask, void *buffer)');
  readonly #stat = Buffer.alloc(256);

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
    const records = Buffer.alloc(names.length * recordBytes);
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
      const record = i * recordBytes;
      if ((stat.readUInt16LE(field.mode) & S_IFMT) === S_IFDIR) {
        directories.push(i);
        stat.copy(records, record, field.mode, field.mode + 2);
        continue;
      }
      stat.copy(records, record, field.mode, field.mode + headBytes);
      stat.copy(records, record + headBytes, field.ctime, field.end);
      latestSec = Math.max(latestSec, secondsOf(stat, field.ctime), secondsOf(stat, field.mtime));
    }
    sink(text);
    sink(records);
    return { directories, latestSec };
  }
}

function secondsOf(stat: Buffer, at: number): number {
  return stat.readUInt32LE(at) + stat.readInt32LE(at + 4) * 2 ** 32;
}
