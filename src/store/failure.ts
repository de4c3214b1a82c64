// What a failing disk looks like to the rest of the program.
import { BuildError, errnoOf, messageOf } from '../errors.ts';

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: `slipway prune` frees what no image needs, or set SLIPWAY_ROOT to another disk',
  EDQUOT: 'the disk quota is used up: `slipway prune` frees what no image needs',
  EROFS: 'the file system is read-only; set SLIPWAY_ROOT to a directory that can be written',
  EACCES: 'set SLIPWAY_ROOT to a directory of your own',
  EPERM: 'set SLIPWAY_ROOT to a directory of your own',
};

/** A BuildError `store` for a failed file operation; a BuildError is handed back as it is. */
export function storeFailure(error: unknown, doing: string, path: string): BuildError {
  if (error instanceof BuildError) return error;
  const errno = errnoOf(error);
  const hint = errno === undefined ? undefined : hints[errno];
  return new BuildError('store', `the store failed while ${doing}: ${messageOf(error)}`, {
    cause: error,
    facts: { path, errno },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Runs `work`; what a file operation throws becomes a BuildError `store`. */
export async function storing<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeFailure(error, doing, path);
  }
}
