// When things of the store were last used, and how much room they take.
import { lstatSync, readdirSync, type Stats, utimesSync } from 'node:fs';

/** Marking a use costs a system call, so one within this time of the last is not marked. */
const markEveryMs = 2000;

/** Gives a blob or tree the present time, which keeps it from garbage collection for a while. */
export function markUsed(path: string, stat: Stats): void {
  const nowMs = Date.now();
  if (Math.abs(nowMs - stat.mtimeMs) < markEveryMs) return;
  try {
    utimesSync(path, nowMs / 1000, nowMs / 1000);
  } catch {
    // A store that cannot be written is not collected either.
  }
}

/** Room on disk of a file or of everything in a directory, in bytes; what is gone meanwhile counts nothing. */
export function diskBytes(path: string | Buffer): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  let bytes = stat.blocks * 512;
  if (!stat.isDirectory()) return bytes / Math.max(stat.nlink, 1);
  const dir = Buffer.concat([Buffer.from(path), Buffer.from('/')]);
  for (const name of readdirSync(path, { encoding: 'buffer' }) as Buffer[]) {
    bytes += diskBytes(Buffer.concat([dir, name]));
  }
  return bytes;
}
