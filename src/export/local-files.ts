// Writes the entries of a flattened image into a fresh directory, with names that are bytes. No component of a path is
// a link there: what holds something in a flattened tree is a directory.
import { closeSync, constants, fchmodSync, writeSync } from 'node:fs';
import { BuildError, printable, unreachable } from '../errors.ts';
import {
  chmodAt,
  mkdirAt,
  openAt,
  orThrow,
  setTimesAt,
  setTimesOf,
  tryLinkAt,
  tryMknodAt,
  trySymlinkAt,
} from '../host/fs-calls.ts';
import { type LayerEntry, type LayerInput, showPath } from '../tree/entry.ts';
import { openRoot } from '../tree/resolve.ts';
import { chunksOf } from './contents.ts';

const typeBits = { fifo: 0o010000, char: 0o020000, block: 0o060000 } as const;
const setIdBits = 0o6000;

export class FileWriter {
  readonly #dirFd: number;
  readonly #uid: number | undefined;
  readonly #directories: LayerEntry[] = [];

  /**
   * @param dir fresh and empty
   * @param uid of the caller, who will own everything
   */
  constructor(dir: string, uid: number | undefined) {
    this.#dirFd = openRoot(dir);
    this.#uid = uid;
  }

  /** In byte order of the paths. @throws a system error, BuildError `output` for a device that the caller may not make */
  write(input: LayerInput): void {
    const { entry } = input;
    const { path } = entry;
    switch (entry.type) {
      case 'directory':
        mkdirAt(this.#dirFd, path, 0o700);
        this.#directories.push(entry);
        return;
      case 'file':
        this.#file(input);
        return;
      case 'symlink':
        orThrow(trySymlinkAt(entry.linkTarget ?? '', this.#dirFd, path), 'symlinkat', path);
        setTimesAt(this.#dirFd, path, entry.mtimeSec, entry.mtimeNsec);
        return;
      case 'hardlink':
        orThrow(tryLinkAt(this.#dirFd, entry.linkTarget ?? '', this.#dirFd, path), 'linkat', path);
        return;
      case 'fifo':
      case 'char':
      case 'block':
        this.#special(entry, typeBits[entry.type]);
        return;
      case 'whiteout':
        throw new BuildError('internal', 'a flattened image has a whiteout');
      default:
        unreachable(entry.type);
    }
  }

  /** Gives directories their modes and times, the deepest first. */
  finish(): void {
    for (const entry of this.#directories.reverse()) {
      setTimesAt(this.#dirFd, entry.path, entry.mtimeSec, entry.mtimeNsec);
      chmodAt(this.#dirFd, entry.path, this.#modeOf(entry));
    }
  }

  close(): void {
    closeSync(this.#dirFd);
  }

  #file({ entry, content }: LayerInput): void {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const fd = openAt(this.#dirFd, entry.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      for (const chunk of content ? chunksOf(content, entry.path) : []) {
        for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
      }
      fchmodSync(fd, this.#modeOf(entry));
      setTimesOf(fd, entry.mtimeSec, entry.mtimeNsec);
    } finally {
      closeSync(fd);
    }
  }

  #special(entry: LayerEntry, type: number): void {
    const { path, devMajor = 0, devMinor = 0 } = entry;
    const failed = tryMknodAt(this.#dirFd, path, type | 0o600, devMajor, devMinor);
    if (failed < 0 && entry.type !== 'fifo') {
      throw new BuildError('output', `the device /${printable(showPath(path))} cannot be made here`, {
        hint: 'run as root, or use type=tar, which can hold it',
        facts: { path: showPath(path) },
      });
    }
    orThrow(failed, 'mknodat', path);
    chmodAt(this.#dirFd, path, this.#modeOf(entry));
    setTimesAt(this.#dirFd, path, entry.mtimeSec, entry.mtimeNsec);
  }

  /** A program that ran as another user must not come to run as the caller. */
  #modeOf(entry: LayerEntry): number {
    const isOurs = entry.uid === this.#uid;
    return isOurs || entry.type === 'directory' ? entry.mode : entry.mode & ~setIdBits;
  }
}
