// An overlay-format directory (the upper directory of a RUN, an unpacked layer) as the entries of a layer.
// https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
import { BuildError, printable } from '../errors.ts';
import { type Entry, type LayerEntry, showPath } from './entry.ts';
import { ownerRecord } from './owner-record.ts';
import { walkTree } from './walk.ts';
import { isKeptXattr } from './xattr-policy.ts';

/** Overlay writes its attributes under one of these; the second in user namespaces. */
const overlayPrefix = /^(?:trusted|user)\.overlay\./;

/**
 * Everything in `root` in byte order: a character device 0:0 is a whiteout, an opaque attribute the flag, overlay's
 * other attributes are left out. The root is there only when it is opaque.
 * @param options.records whether recorded owners (owner-record.ts) are among the attributes; default false
 * @throws BuildError `store` when the tree depends on the layers below it (a redirect or metacopy attribute); a system
 *   error when it cannot be read
 */
export function walkOverlayTree(root: string, options: { readonly records?: boolean } = {}): LayerEntry[] {
  const isRecord = (name: string) => options.records === true && name === ownerRecord;
  const xattr = (name: string) => isKeptXattr(name) || overlayPrefix.test(name) || isRecord(name);
  const entries: LayerEntry[] = [];
  for (const entry of walkTree(root, { withRoot: true, xattr })) {
    const converted = toLayerEntry(entry);
    if (converted.path !== '' || converted.opaque === true) entries.push(converted);
  }
  return entries;
}

function toLayerEntry(entry: Entry): LayerEntry {
  if (isWhiteout(entry)) {
    const { path, mtimeSec, mtimeNsec } = entry;
    return { path, type: 'whiteout', mode: 0, uid: 0, gid: 0, mtimeSec, mtimeNsec, size: 0 };
  }
  const { xattrs, ...rest } = entry;
  if (xattrs === undefined) return entry;
  const kept: Record<string, string> = {};
  let opaque = false;
  for (const [name, value] of Object.entries(xattrs)) {
    if (!overlayPrefix.test(name)) kept[name] = value;
    else if (isOpaque(entry, name, value)) opaque = true;
  }
  return { ...rest, ...(Object.keys(kept).length > 0 && { xattrs: kept }), ...(opaque && { opaque }) };
}

/** A hard link among whiteouts is one too: overlay may make all of them names of a single device. */
function isWhiteout(entry: Entry): boolean {
  const { type, devMajor, devMinor } = entry;
  return (type === 'char' || type === 'hardlink') && devMajor === 0 && devMinor === 0;
}

function isOpaque(entry: Entry, name: string, value: string): boolean {
  const suffix = name.slice(name.indexOf('.overlay.') + '.overlay.'.length);
  if (suffix === 'opaque') return entry.type === 'directory' && value === 'y';
  if (suffix !== 'redirect' && suffix !== 'metacopy') return false;
  const shown = printable(showPath(entry.path));
  throw new BuildError(
    'store',
    `'${shown}' refers to the layers below it (${name}), so its layer cannot be read alone`,
    {
      hint: 'overlay must be mounted with redirect_dir=off and metacopy=off',
      facts: { path: shown, attribute: name },
    },
  );
}
