// In the place of src/store/lmdb.ts in the bundle: lmdb's JavaScript is part of the bundle, its native addon comes from
// the installed package. Where that is not found as expected, the package is loaded as it is.
import { createRequire } from 'node:module';

export function loadLmdb() {
  try {
    return require('lmdb');
  } catch {
    return createRequire(import.meta.url)(['lm', 'db'].join(''));
  }
}
