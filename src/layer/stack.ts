// Which layers mean something only above those they were made on. Pure.
import { createHash } from 'node:crypto';
import type { LayerId, LayerIndex } from './layers.ts';
import { parentOf } from './lookup.ts';

/**
 * Whether a layer leaves something to the layers below it: a directory that it does not list but has entries in, or the
 * file that a hard link names. Layers written by docker and by slipway never do; those of some other tools do.
 */
export function reliesOnLower({ entries }: LayerIndex): boolean {
  const directories = new Set<string>(['']);
  const names = new Set<string>();
  for (const { path, type } of entries) {
    if (type === 'directory') directories.add(path);
    if (type !== 'whiteout') names.add(path);
  }
  let last = '';
  for (const { path, type, linkTarget } of entries) {
    const parent = parentOf(path);
    if (parent !== last && !directories.has(parent)) return true;
    last = parent;
    if (type === 'hardlink' && !names.has(linkTarget ?? '')) return true;
  }
  return false;
}

/** Names a stack of layers; usable as the id of a tree. */
export function stackKey(ids: readonly LayerId[]): string {
  return `stack-${createHash('sha256').update(ids.join('\n')).digest('hex')}`;
}
