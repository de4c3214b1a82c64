// --volume: directories and files of this machine that every RUN sees, and no layer holds.
import { lchownSync, lstatSync, readdirSync } from 'node:fs';
import { BuildError, messageOf, printable } from '../../errors.ts';
import type { StepVolume } from '../../sandbox/sandbox.ts';

/** The volumes that a step sees: where it mounts something itself, that takes the place. */
export function volumesOf(
  volumes: readonly StepVolume[] = [],
  mounts: readonly { readonly target?: string | undefined }[],
): readonly StepVolume[] {
  const taken = new Set(mounts.flatMap(({ target }) => (target === undefined ? [] : [withoutSlash(target)])));
  return volumes.filter(({ target }) => !taken.has(withoutSlash(target)));
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, '') || '/';
}

/**
 * Gives a directory or file, with everything in it, to a user.
 * @throws BuildError `sandbox`
 */
export function giveTo(path: string, owner: { readonly uid: number; readonly gid: number }): void {
  try {
    give(Buffer.from(path), owner.uid, owner.gid);
  } catch (cause) {
    throw new BuildError(
      'sandbox',
      `the volume ${printable(path)} cannot be given to ${owner.uid}:${owner.gid}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

const SLASH = Buffer.from('/');

function give(path: Buffer, uid: number, gid: number): void {
  const stat = lstatSync(path);
  if (stat.uid !== uid || stat.gid !== gid) lchownSync(path, uid, gid);
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path, { encoding: 'buffer' }))
    give(Buffer.concat([path, SLASH, name]), uid, gid);
}
