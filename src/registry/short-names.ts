// Which failures let another meaning of a short name be tried (registries-conf.ts lists the meanings).
import { BuildError } from '../errors.ts';

/** Registries also hide from strangers what they do not have. */
export function mayBeElsewhere(error: unknown): boolean {
  return error instanceof BuildError && (error.code === 'not-found' || error.code === 'auth');
}
