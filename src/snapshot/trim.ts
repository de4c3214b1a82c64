// After a step: directories that the overlay copied up without the step changing anything in them are taken out of the
// upper directory, so that a step that changed nothing leaves nothing.
import { type BigIntStats, lstatSync, readdirSync, rmdirSync } from 'node:fs';
import { setMtime } from '../host/times.ts';
import { child, directoriesBelow, isOpaque, sameXattrs } from './overlay-format.ts';

/**
 * Removes the directories of an upper directory that hold nothing and equal what is below in mode, owner, modification
 * time and extended attributes. Times of what stays do not change, and the upper directory itself stays.
 * @param lowers the layers below, lowest first, as they were mounted; nothing is mounted any more
 */
export function trimUpper(upper: string, lowers: readonly string[]): void {
  trim(Buffer.from(upper), lowers.map(lower => Buffer.from(lower)).reverse());
}

/** @returns whether nothing is left in `dir` */
function trim(dir: Buffer, below: readonly Buffer[]): boolean {
  let left = 0;
  let removed = false;
  const before = lstatSync(dir, { bigint: true });
  for (const entry of readdirSync(dir, { encoding: 'buffer', withFileTypes: true })) {
    const name = entry.name as unknown as Buffer;
    const path = child(dir, name);
    if (entry.isDirectory() && isCopiedUp(path, directoriesBelow(below, name))) {
      rmdirSync(path);
      removed = true;
    } else {
      left++;
    }
  }
  if (removed) setMtime(dir, before.mtimeNs);
  return left === 0;
}

/** Trims what is in `path` first: a directory may hold nothing but others that were copied up. */
function isCopiedUp(path: Buffer, below: readonly Buffer[]): boolean {
  const isEmpty = trim(path, below);
  const original = below[0];
  if (!isEmpty || original === undefined || isOpaque(path)) return false;
  return sameDirectory(path, original);
}

function sameDirectory(a: Buffer, b: Buffer): boolean {
  const left = lstatSync(a, { bigint: true });
  const right = lstatSync(b, { bigint: true });
  const same = (field: keyof BigIntStats) => left[field] === right[field];
  return same('mode') && same('uid') && same('gid') && same('mtimeNs') && sameXattrs(a, b);
}
