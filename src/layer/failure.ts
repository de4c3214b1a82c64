// What working on layers throws.
import { BuildError } from '../errors.ts';
import type { LayerId } from './layers.ts';

export function asFailure(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function gone(id: LayerId): BuildError {
  return new BuildError(
    'not-found',
    `the layer ${id} is not in the store and it is not known where to get it`,
    {
      hint: 'build or pull the image that it belongs to again',
      facts: { layer: id },
    },
  );
}
