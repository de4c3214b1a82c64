// Who opens the database and who writes to it take turns. lmdb-js's copy of liblmdb reads the number of the last
// transaction when it opens the database, and writes that number into the lock file all processes share (mdb.c,
// mdb_env_open2). When another process commits in between, the number goes back: that process then waits for ever for the
// number it wrote, and the next transaction takes pages for free that are not. So openers are alone for that moment.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lock, lockBlocking, tryLock } from '../host/lock.ts';

/** After so long an opener goes on: writers that stay this long are stuck, and the moment above is short. */
const patienceMs = 20_000;
const pauseMs = 1;

/** Files of locks in the database's directory. */
export const turnFiles = { gate: 'gate.lock', turn: 'turn.lock' } as const;

/** Directories of databases that this process is opening. */
const opening = new Set<string>();

/**
 * Runs `open` while nobody writes. Who wants to begin to write waits at the gate meanwhile, so that openers get their turn.
 * @param open must do all of it before it returns: a writer of this process waits without letting anything else happen
 */
export async function openInTurn<T>(directory: string, open: () => T): Promise<T> {
  const until = Date.now() + patienceMs;
  using _gate = await acquire(join(directory, turnFiles.gate), until);
  opening.add(directory);
  try {
    using _turn = await acquire(join(directory, turnFiles.turn), until);
    return open();
  } finally {
    opening.delete(directory);
  }
}

async function acquire(path: string, until: number): Promise<Lock | undefined> {
  for (;;) {
    const lock = tryLock(path, 'exclusive');
    if (lock || Date.now() > until) return lock;
    await sleep(pauseMs);
  }
}

/** Waits, in the order of milliseconds, while somebody opens the database; from then on until the release nobody can. */
export function beginWriting(directory: string): Lock {
  // Its own gate would never open while this thread stands still.
  using _gate = opening.has(directory) ? undefined : lockBlocking(join(directory, turnFiles.gate), 'shared');
  return lockBlocking(join(directory, turnFiles.turn), 'shared');
}
