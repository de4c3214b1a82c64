// An overlay-format directory, such as the upper directory that a RUN left behind, as what a layer is written from.
import { canGiveOwners } from '../host/ids.ts';
import type { LayerEntry, LayerInput } from '../tree/entry.ts';
import { walkOverlayTree } from '../tree/overlay-tree.ts';
import { withRecordedOwner } from '../tree/owner-record.ts';

/** @throws what {@link walkOverlayTree} throws */
export function scanTree(tree: string): LayerInput[] {
  return entriesOf(tree).map(entry => {
    if (entry.type === 'whiteout') return { entry: withoutTime(entry) };
    if (entry.type !== 'file') return { entry };
    return { entry, content: { kind: 'in-tree', root: tree, path: entry.path, size: entry.size } };
  });
}

/** Entries with the owners that they have, or should have. */
function entriesOf(tree: string): readonly LayerEntry[] {
  if (canGiveOwners()) return walkOverlayTree(tree);
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return walkOverlayTree(tree, { records: true }).map(entry => withRecordedOwner(entry, own));
}

/** Overlay may give all whiteouts one device, so its time says nothing; a tar has none either. */
function withoutTime(entry: LayerEntry): LayerEntry {
  return { ...entry, mtimeSec: 0, mtimeNsec: 0 };
}
