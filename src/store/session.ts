// What one process has unfinished in the store: ingest/<session>/ and tmp/<session>/. A kernel lock on the ingest
// directory says that the process lives; whoever opens the store later removes what dead ones left.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { type Lock, tryLock } from '../host/lock.ts';
import { makePrivateDir, removeTree, temporaryName } from '../host/temp.ts';
import { storeFailure } from './failure.ts';

/** The session is made when something is first asked of it: a build that only reads needs none. */
export class Session {
  readonly #root: string;
  #open: { readonly id: string; readonly lock: Lock } | undefined;
  #closed = false;

  constructor(root: string) {
    this.#root = root;
  }

  /** A path in this session's ingest directory, not created. @throws BuildError `store` */
  freshPath(): string {
    return join(this.#root, 'ingest', this.#id(), temporaryName());
  }

  /** This session's directory for temporary files, mode 0700. @throws BuildError `store` */
  get tmp(): string {
    const path = join(this.#root, 'tmp', this.#id());
    try {
      makePrivateDir(path);
    } catch (error) {
      throw storeFailure(error, 'making a temporary directory', path);
    }
    return path;
  }

  /** Name of the ingest directory, undefined while there is none. */
  get id(): string | undefined {
    return this.#open?.id;
  }

  #id(): string {
    if (this.#closed) throw storeFailure(new Error('it is closed'), 'writing', this.#root);
    this.#open ??= begin(this.#root);
    return this.#open.id;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = this.#open;
    this.#open = undefined;
    if (!open) return;
    await removeSession(this.#root, open.id);
    open.lock.release();
  }
}

function begin(root: string): { id: string; lock: Lock } {
  for (;;) {
    const id = temporaryName();
    const path = join(root, 'ingest', id);
    try {
      mkdirSync(path, { mode: 0o700 });
      const lock = tryLock(path, 'exclusive');
      if (lock) return { id, lock };
    } catch (error) {
      // A process that is sweeping may have taken the directory for a dead one before it was locked.
      if (errnoOf(error) !== 'ENOENT' || !statSync(join(root, 'ingest'), { throwIfNoEntry: false }))
        throw storeFailure(error, 'beginning to write', path);
    }
  }
}

async function removeSession(root: string, id: string): Promise<void> {
  await removeTree(join(root, 'tmp', id));
  await removeTree(join(root, 'ingest', id));
}

/** Removes what dead processes left. @returns how many sessions were removed */
export async function sweepSessions(root: string): Promise<number> {
  const ingest = join(root, 'ingest');
  let removed = 0;
  const ids = new Set([...readdirSync(ingest), ...readdirSync(join(root, 'tmp'))]);
  for (const id of ids) {
    const lock = lockOfDead(join(ingest, id));
    if (lock === 'alive') continue;
    await removeSession(root, id);
    lock?.release();
    removed += 1;
  }
  return removed;
}

/** undefined: there is no ingest directory of that name. */
function lockOfDead(path: string): Lock | 'alive' | undefined {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  try {
    return tryLock(path, 'exclusive') ?? 'alive';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Sessions of living processes apart from `own`, with the time they began (ms since 1970, by the file system's clock). */
export function liveSessions(root: string, own: string | undefined): { id: string; sinceMs: number }[] {
  const found: { id: string; sinceMs: number }[] = [];
  for (const id of readdirSync(join(root, 'ingest'))) {
    const path = join(root, 'ingest', id);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (id === own || !stat) continue;
    const lock = lockOfDead(path);
    if (lock === 'alive') found.push({ id, sinceMs: stat.birthtimeMs || stat.mtimeMs });
    else lock?.release();
  }
  return found;
}
