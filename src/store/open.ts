// Opens a store, making it on first use. On disk (OCI image-spec, image-layout.md, and our rooms beside it):
//   slipway.json   the version of this layout         oci-layout, index.json, blobs/   readable by any OCI tool
//   trees/         unpacked layers                    meta/                            LMDB
//   ingest/, tmp/  what live processes have unfinished
import { lstatSync, readdirSync, readFileSync, renameSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { BuildError, messageOf, printable } from '../errors.ts';
import { type Lock, tryLock, waitForLock } from '../host/lock.ts';
import { makePrivateDir, temporaryName, writeFileAtomically } from '../host/temp.ts';
import { FileBlobStore } from './blob-store.ts';
import { storeFailure } from './failure.ts';
import { layoutText } from './layout-index.ts';
import { type LmdbMeta, openMeta } from './meta.ts';
import { checkDatabase } from './meta-check.ts';
import { turnFiles } from './meta-turns.ts';
import { MetaNames } from './names.ts';
import { Session, sweepSessions } from './session.ts';
import { removeIdleLocks } from './step-locks.ts';
import type { Store } from './store.ts';
import { DirectoryTreeStore } from './tree-store.ts';

/** The layout that this version writes. A store of a higher one is left alone. */
export const storeVersion = 1;

export interface OpenOptions {
  /** The clock; tests give their own. */
  readonly now?: () => Date;
  /** Told when something damaged was put aside and the store went on without it. */
  readonly onWarning?: (text: string) => void;
}

/**
 * @param env the environment: $SLIPWAY_ROOT, $XDG_DATA_HOME (ignored unless absolute, as its standard says), $HOME
 * @param uid of the caller; root's default is /var/lib/slipway
 */
export function defaultStoreRoot(env: Readonly<Record<string, string | undefined>>, uid: number): string {
  if (env.SLIPWAY_ROOT) return resolve(env.SLIPWAY_ROOT);
  if (env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME)) return join(env.XDG_DATA_HOME, 'slipway');
  if (uid === 0) return '/var/lib/slipway';
  return join(env.HOME || homedir(), '.local/share/slipway');
}

/**
 * Opens the store at `root` (created when it is not there) and removes what dead processes left unfinished.
 * @throws BuildError `store` when the directory is not ours, is no store, belongs to a newer version or cannot be written
 */
export async function openStore(root: string, options: OpenOptions = {}): Promise<Store> {
  const path = resolve(root);
  try {
    prepare(path, options.onWarning ?? (() => {}));
    await sweepSessions(path);
    removeIdleLocks(path);
    return await assemble(path, options);
  } catch (error) {
    throw storeFailure(error, 'being opened', path);
  }
}

async function assemble(root: string, options: OpenOptions): Promise<Store> {
  const now = options.now ?? (() => new Date());
  const { meta, isNew, lock } = await openMetaOrRenew(root, options.onWarning ?? (() => {}));
  const session = new Session(root);
  const names = new MetaNames(root, meta, now);
  // A name that is lost would take its image with it. index.json is written anew with the next name.
  if (isNew || meta.damaged('names').length > 0) names.restore(readIndex(root));
  if (!exists(join(root, 'index.json'))) names.writeIndex();
  return {
    root,
    blobs: new FileBlobStore(root, session),
    trees: new DirectoryTreeStore(root, session),
    meta,
    names,
    get tmp() {
      return session.tmp;
    },
    async close() {
      await session.close();
      await meta.close();
      lock.release();
    },
  };
}

/** Checks what is at `root` before anything is written there, then makes what is missing. */
function prepare(root: string, warn: (text: string) => void): void {
  makePrivateDir(root);
  checkOwner(root, statSync(root));
  const entries = readdirSync(root);
  if (entries.includes('slipway.json')) checkVersion(root);
  else if (entries.length > 0 && isForeign(root, entries)) throw foreign(root);
  else writeFileAtomically(join(root, 'slipway.json'), JSON.stringify({ storeVersion }), 0o600);
  putStrangeAside(root, ['oci-layout', 'index.json'], warn);
  for (const dir of ['blobs/sha256', 'trees', 'meta', 'ingest', 'tmp']) makePrivateDir(join(root, dir));
  if (!exists(join(root, 'oci-layout'))) {
    writeFileAtomically(join(root, 'oci-layout'), layoutText, 0o600);
  }
}

function checkOwner(root: string, stat: Stats): void {
  const uid = process.geteuid?.() ?? stat.uid;
  if (!stat.isDirectory()) throw new BuildError('store', `the store ${printable(root)} is not a directory`);
  if (stat.uid !== uid) {
    throw new BuildError('store', `the store ${printable(root)} belongs to another user (uid ${stat.uid})`, {
      hint: 'set SLIPWAY_ROOT to a directory of your own',
      facts: { path: root, expected: uid, found: stat.uid },
    });
  }
  if ((stat.mode & 0o022) !== 0) {
    throw new BuildError('store', `other users may write to the store ${printable(root)}`, {
      hint: `run: chmod 700 ${printable(root)}`,
      facts: { path: root, mode: (stat.mode & 0o7777).toString(8) },
    });
  }
}

function checkVersion(root: string): void {
  const path = join(root, 'slipway.json');
  let found: unknown;
  try {
    if (isStrange(path)) throw new Error('it is no regular file');
    found = (JSON.parse(readFileSync(path, 'utf8')) as { storeVersion?: unknown } | null)?.storeVersion;
  } catch (error) {
    throw new BuildError('store', `the store's version file cannot be read: ${messageOf(error)}`, {
      hint: `if nothing else than slipway wrote to ${printable(root)}, remove ${printable(path)} and everything beside it`,
      cause: error,
      facts: { path },
    });
  }
  if (typeof found !== 'number' || !Number.isInteger(found) || found < 1) {
    throw new BuildError('store', `the store's version file ${printable(path)} names no version`);
  }
  if (found > storeVersion) {
    throw new BuildError(
      'store',
      `the store ${printable(root)} was written by a newer slipway (layout ${found})`,
      {
        hint: 'update slipway, or set SLIPWAY_ROOT to another directory',
        facts: { path: root, expected: storeVersion, found },
      },
    );
  }
}

function isForeign(root: string, entries: readonly string[]): boolean {
  // A process that was killed while it made the version file leaves only that file's temporary name.
  if (entries.every(name => name.startsWith('.tmp-'))) return false;
  if (!exists(join(root, 'slipway.json'))) return true;
  checkVersion(root); // another process made the store just now
  return false;
}

function foreign(root: string): BuildError {
  return new BuildError('store', `${printable(root)} is not empty and is not a slipway store`, {
    hint: 'choose an empty or new directory',
    facts: { path: root },
  });
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A link, a pipe or a directory where a file of ours should be: opening it would wait, or reach outside of the store. */
function isStrange(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === false;
}

function putStrangeAside(root: string, names: readonly string[], warn: (text: string) => void): void {
  for (const name of names.filter(each => isStrange(join(root, each)))) {
    const aside = join(root, temporaryName(`strange-${name}-`));
    renameSync(join(root, name), aside);
    warn(`${printable(join(root, name))} was no regular file and has been moved to ${printable(aside)}`);
  }
}

function readIndex(root: string): unknown {
  try {
    return JSON.parse(readFileSync(join(root, 'index.json'), 'utf8'));
  } catch {
    return undefined; // written anew with the next name
  }
}

interface OpenedMeta {
  readonly meta: LmdbMeta;
  readonly isNew: boolean;
  /** Shared with everybody who uses the database; who has it alone may look through its pages. */
  readonly lock: Lock;
}

/** A damaged database is put aside; names are found again in index.json, cache records are not. */
async function openMetaOrRenew(root: string, warn: (text: string) => void): Promise<OpenedMeta> {
  const path = join(root, 'meta');
  const file = join(path, 'data.mdb');
  const inode = () => lstatSync(file, { throwIfNoEntry: false })?.ino;
  const alone = tryLock(path, 'exclusive');
  const looked = inode();
  const others = ['lock.mdb', ...Object.values(turnFiles)].map(name => join(path, name));
  const isOurs = ![file, ...others].some(isStrange);
  const state = isOurs ? checkDatabase(file, alone !== undefined) : 'damaged';
  alone?.release();
  const lock = await waitForLock(path, 'shared');
  if (state === 'damaged' && inode() !== looked) {
    lock.release(); // another process has put it aside already
    return openMetaOrRenew(root, warn);
  }
  if (state !== 'damaged') {
    try {
      const meta = await openMeta(path, warn);
      if (state === 'mended') meta.readThrough();
      return { meta, isNew: state === 'absent', lock };
    } catch (error) {
      if (!/\bMDB_/.test(messageOf(error)) || /MDB_MAP_RESIZED|MDB_READERS_FULL/.test(messageOf(error))) {
        lock.release();
        throw error;
      }
    }
  }
  const aside = join(root, temporaryName('meta-damaged-'));
  renameSync(path, aside);
  lock.release();
  makePrivateDir(path);
  warn(`the store's database was damaged and has been moved to ${aside}; earlier builds are not remembered`);
  return { meta: await openMeta(path, warn), isNew: true, lock: await waitForLock(path, 'shared') };
}
