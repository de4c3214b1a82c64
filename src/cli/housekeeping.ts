// After a build: what no build has used for long is removed from the store, once a day.
import { messageOf } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { Session } from './session.ts';

const everyMs = 86_400_000;

/** Costs one look into the database unless it is time. A failure is a warning: the build itself is done. */
export async function keepHouse(store: Store, session: Session): Promise<void> {
  if (['off', '0', 'false', 'no'].includes(session.env.SLIPWAY_GC ?? '')) return;
  const last = store.meta.get('misc', 'collected');
  if (typeof last === 'number' && Math.abs(Date.now() - last) < everyMs) return;
  store.meta.set('misc', 'collected', Date.now());
  if (last === undefined) return; // a new store
  try {
    const { pruneAutomatically } = await import('../store/prune.ts');
    await pruneAutomatically(store);
  } catch (error) {
    session.err(`warning: the store could not be tidied: ${messageOf(error)}\n`);
  }
}
