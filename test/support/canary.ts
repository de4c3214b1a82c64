// The oracle of the extraction tests: a directory outside of the root whose files must stay as they are, down to the
// inode and the time of last access.
import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExtractOptions, Extractor } from '../../src/archive/extract.ts';
import { TarReader } from '../../src/archive/tar-reader.ts';
import { BuildError, type ErrorCode } from '../../src/errors.ts';
import { removeTree } from '../../src/tree/remove.ts';
import type { Resolver } from '../../src/tree/resolve.ts';
import { archive } from './tar-bytes.ts';

export const resolvers: readonly Resolver[] = ['kernel', 'walk'];

/** A root to extract into, and beside it a canary. */
export interface Arena {
  readonly root: string;
  /** Absolute path of the canary directory: files `file` (0400), `empty`, directory `sub` with `inner`. */
  readonly canary: string;
  readonly resolver: Resolver;
  /** Extracts these parts; default options: whiteouts applied. */
  extract(parts: readonly Buffer[], options?: Partial<ExtractOptions>): void;
  /** Extracts these parts, which must fail with this code, naming `words`. */
  refuses(parts: readonly Buffer[], code: ErrorCode, words: RegExp, options?: Partial<ExtractOptions>): void;
  /** Content of a file below the root, no link followed in its last component. */
  read(path: string): string;
  /** What is in the root: path to type letter (d, f, l, c, b, p). */
  list(): Record<string, string>;
}

function snapshot(dir: string): string {
  const lines: string[] = [];
  const visit = (path: string): void => {
    const { dev, ino, mode, uid, gid, nlink, size, mtimeNs, ctimeNs, atimeNs } = lstatSync(path, {
      bigint: true,
    });
    const isDirectory = lstatSync(path).isDirectory();
    lines.push(
      [path, dev, ino, mode, uid, gid, nlink, size, mtimeNs, ctimeNs, isDirectory ? '' : atimeNs].join(' '),
    );
    if (isDirectory) for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  visit(dir);
  return lines.join('\n');
}

const letters = {
  d: 'isDirectory',
  f: 'isFile',
  l: 'isSymbolicLink',
  c: 'isCharacterDevice',
  b: 'isBlockDevice',
  p: 'isFIFO',
} as const;

function listTree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (path: string): void => {
    for (const name of readdirSync(join(root, path), 'latin1').sort()) {
      const child = path === '' ? name : `${path}/${name}`;
      const stat = lstatSync(Buffer.from(join(root, child), 'latin1'));
      found[child] = Object.entries(letters).find(([, is]) => stat[is]())?.[0] ?? '?';
      if (stat.isDirectory()) visit(child);
    }
  };
  visit('');
  return found;
}

/** Runs `work` once for each way to resolve paths; afterwards the canary must be as it was. */
export function inArena(work: (arena: Arena) => void | Promise<void>): () => Promise<void> {
  return async () => {
    for (const resolver of resolvers) await oneArena(resolver, work);
  };
}

async function oneArena(resolver: Resolver, work: (arena: Arena) => void | Promise<void>): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), 'slipway-hostile-'));
  try {
    const canary = makeCanary(base);
    const before = snapshot(canary);
    await work(makeArena(base, canary, resolver));
    assert.equal(snapshot(canary), before, `the canary was touched (paths resolved by ${resolver})`);
    assert.deepEqual(readdirSync(base).sort(), ['canary', 'root'], 'something was made beside the root');
    assert.equal(readFileSync(join(canary, 'file'), 'utf8'), 'canary');
  } finally {
    removeTree(base);
  }
}

function makeCanary(base: string): string {
  const canary = join(base, 'canary');
  mkdirSync(join(canary, 'sub'), { recursive: true });
  mkdirSync(join(base, 'root'), { mode: 0o700 });
  for (const name of ['file', 'sub/inner', 'empty']) {
    writeFileSync(join(canary, name), name === 'empty' ? '' : 'canary');
    // Older than its change, so that reading it would be noticed where the file system keeps access times at all.
    utimesSync(join(canary, name), 1, 2);
  }
  chmodSync(join(canary, 'file'), 0o400);
  return canary;
}

function makeArena(base: string, canary: string, resolver: Resolver): Arena {
  const root = join(base, 'root');
  const extract = (parts: readonly Buffer[], options: Partial<ExtractOptions> = {}): void => {
    const extractor = new Extractor(root, { whiteouts: 'apply', resolver, ...options });
    try {
      const reader = new TarReader(extractor);
      reader.push(archive(...parts));
      reader.finish();
    } finally {
      extractor.close();
    }
  };
  return {
    root,
    canary,
    resolver,
    extract,
    refuses(parts, code, words, options) {
      assert.throws(
        () => extract(parts, options),
        (error: unknown) => {
          assert.ok(error instanceof BuildError, String(error));
          assert.match(error.message, words);
          assert.equal(error.code, code);
          return true;
        },
      );
    },
    read: path => {
      assert.ok(lstatSync(join(root, path)).isFile(), `${path} is no file`);
      return readFileSync(join(root, path), 'utf8');
    },
    list: () => listTree(root),
  };
}
