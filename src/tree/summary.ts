// What a directory of ours looked like when it was complete, to notice later that somebody, or a power failure, changed
// it: names, types, modes, sizes and modification times. The same for a faithful copy (cp -a, tar).
import { createHash } from 'node:crypto';
import { statWalk } from './stat-walk.ts';

/** @returns undefined when something in it cannot be looked at */
export function summarizeTree(root: string): string | undefined {
  const hash = createHash('sha256').update('slipway tree v1\n');
  try {
    statWalk(Buffer.from(root, 'utf8').toString('latin1'), '', { fields: 'appearance', sorted: true }, hash);
    return hash.digest('base64');
  } catch {
    return undefined;
  }
}
