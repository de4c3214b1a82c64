// Owners that cannot be given to files (an ordinary user, or a user namespace with a single id) are kept beside them in an
// attribute, which copies and overlays carry along, and are read back where a layer is made of the files.
import type { Entry, LayerEntry } from './entry.ts';

/** `uid:gid` in decimal. Files and directories alone can have it: the kernel gives links and devices no user attributes. */
export const ownerRecord = 'user.slipway.owner';

export function ownerText(entry: Pick<Entry, 'uid' | 'gid'>): string {
  return `${entry.uid}:${entry.gid}`;
}

/**
 * The entry with the owner that it should have. What belongs to this process belongs to root.
 * @param own ids of this process
 */
export function withRecordedOwner<T extends LayerEntry>(entry: T, own: { uid: number; gid: number }): T {
  const { xattrs, ...rest } = entry;
  const { [ownerRecord]: record, ...others } = xattrs ?? {};
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(record ?? '') ?? [];
  return {
    ...rest,
    uid: uid === undefined ? (entry.uid === own.uid ? 0 : entry.uid) : Number(uid),
    gid: gid === undefined ? (entry.gid === own.gid ? 0 : entry.gid) : Number(gid),
    ...(Object.keys(others).length === 0 ? {} : { xattrs: others }),
  } as T;
}
