// The LMDB binding. Its JavaScript is spread over five packages; in the bundle scripts/build.js puts its own form of this
// file, with all of it in one place and the native part found directly.
import { createRequire } from 'node:module';

/** Costs about 20 ms unbundled, so call it when a database is opened. */
export function loadLmdb(): typeof import('lmdb') {
  return createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
}
