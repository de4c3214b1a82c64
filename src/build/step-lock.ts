// Equal steps of builds that run at the same time are executed once: who executes holds a kernel lock named after the
// key, which ends with its process however that ends. Others wait, then find the record, or execute it themselves.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CacheKey } from '../cache/key.ts';
import { tryLock, waitForLock } from '../host/lock.ts';
import { makePrivateDir } from '../host/temp.ts';
import { hexOf } from '../image/digest.ts';
import { stepLocksOf } from '../store/step-locks.ts';
import type { Store } from '../store/store.ts';

/** @throws BuildError `interrupted` on abort; a system error when the store cannot be written */
export async function lockStep(store: Store, key: CacheKey, signal: AbortSignal): Promise<Disposable> {
  const dir = stepLocksOf(store.root);
  makePrivateDir(dir);
  const path = join(dir, hexOf(key));
  const lock = tryLock(path, 'exclusive') ?? (await waitForLock(path, 'exclusive', signal));
  return {
    [Symbol.dispose]() {
      // Removed while it is held: a process that waits for the removed file notices and takes the path anew.
      rmSync(path, { force: true });
      lock.release();
    },
  };
}
