// Owner, mode, attributes and times of something that extraction has open. The order matters: chown clears setuid and
// file capabilities, so it comes first; everything changes the time, so that comes last.
import { fchmodSync, fchownSync, ftruncateSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { SystemError } from '../host/ffi.ts';
import { setTimesOf, trySetXattr } from '../host/fs-calls.ts';
import type { Entry } from '../tree/entry.ts';
import { ownerRecord, ownerText } from '../tree/owner-record.ts';
import { isKeptXattr } from '../tree/xattr-policy.ts';

/** keep: as the archive says; caller: of whoever runs this; record: so, and kept in an attribute. */
export type Ownership = 'keep' | 'caller' | 'record';

/** File systems without attributes (or without these) are common; the tree is still what its image needs to run. */
const tolerated: ReadonlySet<string> = new Set(['ENOTSUP', 'EOPNOTSUPP']);
/** An ordinary user cannot set file capabilities, and has no use for them: nothing is run with other rights than its own. */
const refused: ReadonlySet<string> = new Set([...tolerated, 'EPERM']);

/**
 * Ends a file that was just written.
 * @param truncateTo its size when it ends in a hole
 */
export function finishFile(
  fd: number,
  entry: Entry,
  truncateTo: number | undefined,
  ownership: Ownership,
): void {
  if (truncateTo !== undefined) ftruncateSync(fd, truncateTo);
  setMetadata(fd, entry, ownership);
}

/** @throws a system error */
export function setMetadata(fd: number, entry: Entry, ownership: Ownership): void {
  if (ownership === 'keep') fchownSync(fd, entry.uid, entry.gid);
  // Before the mode, which may take away the right to set attributes.
  if (ownership === 'record') setXattr(fd, ownerRecord, ownerText(entry));
  fchmodSync(fd, entry.mode);
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) {
    const isCapability = name === 'security.capability';
    if (!isKeptXattr(name) || (ownership === 'caller' && isCapability)) continue;
    setXattr(fd, name, value, ownership === 'record' && isCapability ? refused : tolerated);
  }
  setTimesOf(fd, entry.mtimeSec, entry.mtimeNsec);
}

function setXattr(fd: number, name: string, value: string, ignored = tolerated): void {
  const result = trySetXattr(fd, name, value);
  if (result === 0) return;
  const error = new SystemError(-result, 'fsetxattr', name);
  if (!ignored.has(errnoOf(error) ?? '')) throw error;
}
