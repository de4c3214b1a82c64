// lstat(2) of everything below a directory, hashed in one go: no object is made for a file, so that 100,000 files take
// little more time than the kernel needs to say it. The directories must not be changed by somebody whom we do not trust.
import type { Hash } from 'node:crypto';
import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { StatBatch, type StatFields } from '../host/stat-batch.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

export interface StatWalkOptions {
  readonly fields: StatFields;
  /** Byte order, for what has to be the same in a copy; otherwise the file system's, which stays while nothing changes. */
  readonly sorted: boolean;
  /** Which of the names in a directory count. Default: all. */
  wanted?(directory: string, names: string[]): string[];
}

export interface StatWalkResult {
  /** Everything below that is no directory. */
  readonly files: number;
  /** The latest change of any of them, in seconds since 1970. */
  readonly latestSec: number;
}

/**
 * @param root latin1, absolute
 * @param top path below `root` of the directory that is walked, latin1
 * @param hash is given names and what the kernel says of them, so that no other tree gives the same bytes
 * @throws a system error when something cannot be looked at
 */
export function statWalk(root: string, top: string, options: StatWalkOptions, hash: Hash): StatWalkResult {
  const walk = new Walk(root, options, hash);
  walk.directory(top);
  return walk;
}

class Walk implements StatWalkResult {
  files = 0;
  latestSec = 0;
  readonly #root: string;
  readonly #options: StatWalkOptions;
  readonly #hash: Hash;
  readonly #batch: StatBatch;

  constructor(root: string, options: StatWalkOptions, hash: Hash) {
    this.#root = root;
    this.#options = options;
    this.#hash = hash;
    this.#batch = new StatBatch(options.fields);
  }

  directory(path: string): void {
    const absolute = Buffer.from(path === '' ? this.#root : `${this.#root}/${path}`, 'latin1');
    const names = this.#names(path, absolute);
    this.#hash.update(framed(path) + framed(String(names.length)), 'latin1');
    if (names.length === 0) return;
    const fd = openSync(absolute, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    let found: ReturnType<StatBatch['stat']>;
    try {
      found = this.#batch.stat(fd, names, bytes => this.#hash.update(bytes));
    } finally {
      closeSync(fd);
    }
    this.files += names.length - found.directories.length;
    this.latestSec = Math.max(this.latestSec, found.latestSec);
    for (const i of found.directories) this.directory(path === '' ? (names[i] ?? '') : `${path}/${names[i]}`);
  }

  #names(path: string, absolute: Buffer): string[] {
    const all = readdirSync(absolute, { encoding: 'latin1' });
    const names = this.#options.wanted?.(path, all) ?? all;
    return this.#options.sorted ? names.sort() : names;
  }
}

function framed(text: string): string {
  return `${text.length}:${text}`;
}
