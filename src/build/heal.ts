// A build that meets damage in the store does its work again: what was damaged is removed, so the cache misses it.
import { BuildError } from '../errors.ts';
import { isDigest } from '../image/digest.ts';
import type { Store } from '../store/store.ts';

/** A store that needs more attempts has a broken disk below it. */
const maxRepairs = 20;

/**
 * @param work may be done again from its beginning
 * @param warn told once per damaged blob or unpacked layer
 * @throws what `work` throws, unless it is damage that could be removed
 */
export async function healing<T>(
  store: Store,
  warn: (text: string) => void,
  work: () => Promise<T>,
  mayRepeat: () => boolean = () => true,
): Promise<T> {
  const removed = new Set<string>();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const damaged = error instanceof BuildError ? error.facts.damaged : undefined;
      if (typeof damaged !== 'string' || removed.has(damaged) || removed.size === maxRepairs) throw error;
      if (!mayRepeat()) throw error;
      removed.add(damaged);
      if (isDigest(damaged)) await store.blobs.remove(damaged); // an unpacked layer is gone by now
      warn(`${(error as BuildError).message}; it was removed and what needs it is made again`);
    }
  }
}
