// An overlay-format directory, such as the upper directory that a RUN left behind, as what a layer is written from.
import type { LayerEntry, LayerInput } from '../tree/entry.ts';
import { walkOverlayTree } from '../tree/overlay-tree.ts';

/** @throws what {@link walkOverlayTree} throws */
export function scanTree(tree: string): LayerInput[] {
  return walkOverlayTree(tree).map(entry => {
    if (entry.type === 'whiteout') return { entry: withoutTime(entry) };
    if (entry.type !== 'file') return { entry };
    return { entry, content: { kind: 'in-tree', root: tree, path: entry.path, size: entry.size } };
  });
}

/** Overlay may give all whiteouts one device, so its time says nothing; a tar has none either. */
function withoutTime(entry: LayerEntry): LayerEntry {
  return { ...entry, mtimeSec: 0, mtimeNsec: 0 };
}
