// Puts what a layer is to hold into the order and form that its tar has. Pure: equal sets give equal lists.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, type LayerInput, showPath } from '../tree/entry.ts';
import { refuseMarkerName } from './whiteout.ts';

/**
 * Sorted by the bytes of the path, so parents stand before what is in them; of entries with one path the last counts;
 * of the names of one file the first holds the bytes and the others are hard links to it.
 * @param clampSec later modification times become this one
 * @throws BuildError `context` for a name that would read as a whiteout; `internal` for a link to a file that is not in the list
 */
export function arrange(inputs: readonly LayerInput[], clampSec?: number): LayerInput[] {
  const byPath = new Map<BytePath, LayerInput>();
  for (const input of inputs) {
    if (input.entry.type !== 'whiteout') refuseMarkerName(input.entry.path);
    byPath.set(input.entry.path, clamped(usual(input), clampSec));
  }
  const sorted = [...byPath.values()].sort((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
  return sorted.some(({ entry }) => entry.type === 'hardlink') ? withFirstNames(sorted, byPath) : sorted;
}

/** A symlink has no mode of its own on Linux; tars of other systems say all kinds of things. */
function usual(input: LayerInput): LayerInput {
  const { entry } = input;
  if (entry.type !== 'symlink' || entry.mode === 0o777) return input;
  return { ...input, entry: { ...entry, mode: 0o777 } };
}

function clamped(input: LayerInput, clampSec: number | undefined): LayerInput {
  if (clampSec === undefined || !isLater(input, clampSec)) return input;
  return { ...input, entry: { ...input.entry, mtimeSec: clampSec, mtimeNsec: 0 } };
}

function isLater({ entry }: LayerInput, clampSec: number): boolean {
  return entry.mtimeSec > clampSec || (entry.mtimeSec === clampSec && entry.mtimeNsec > 0);
}

function withFirstNames(sorted: LayerInput[], byPath: ReadonlyMap<BytePath, LayerInput>): LayerInput[] {
  /** The file's own entry -> its first name. */
  const first = new Map<LayerInput, BytePath>();
  const fileOf = (input: LayerInput): LayerInput => followLinks(input, byPath);
  return sorted.map(input => {
    const { type, path } = input.entry;
    if (type === 'directory' || type === 'whiteout') return input;
    const file = fileOf(input);
    const name = first.get(file);
    if (name === undefined) {
      first.set(file, path);
      return file === input ? input : { ...file, entry: { ...file.entry, path } };
    }
    const { opaque: _opaque, ...entry } = file.entry;
    return { entry: { ...entry, path, type: 'hardlink', linkTarget: name, size: 0 } };
  });
}

function followLinks(input: LayerInput, byPath: ReadonlyMap<BytePath, LayerInput>): LayerInput {
  let at: LayerInput | undefined = input;
  for (let steps = 0; at?.entry.type === 'hardlink' && steps <= byPath.size; steps++) {
    at = byPath.get((at.entry.linkTarget ?? '') as BytePath);
  }
  if (at && at.entry.type !== 'hardlink' && at.entry.type !== 'directory' && at.entry.type !== 'whiteout')
    return at;
  const shown = printable(showPath(input.entry.path));
  throw new BuildError('internal', `the hard link "${shown}" names a file that is not in the layer`, {
    facts: { path: shown },
  });
}
