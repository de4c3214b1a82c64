// An unpacked archive put into a file system in memory, as `tar -x` in a chroot at the destination would: links on the way
// are followed inside the destination and never out of it, as BuildKit does. Pure.
import { BuildError, printable } from '../../errors.ts';
import { type BytePath, type Entry, type LayerInput, showPath } from '../../tree/entry.ts';
import { type DirectoryLook, type Draft, parentPath } from './copy-draft.ts';
import type { ArchiveSource } from './copy-selection.ts';

interface ArchivePlace {
  /** Of every entry; absent: as the archive says. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Of directories that the archive has no entry for. */
  readonly look: DirectoryLook;
  /** Tells this archive's files from those of other sources. */
  readonly group: string;
}

/** @param base literal path of the directory to unpack into, which keeps its own properties */
export function placeArchive(draft: Draft, base: BytePath, source: ArchiveSource, place: ArchivePlace): void {
  const links: LinkGroups = new Map();
  for (const input of source.inputs) {
    if (input.entry.path === '') continue;
    placeOne(draft, base, input, links, place);
  }
}

/** Literal path of a file -> the input that holds its content and the name of its group. */
type LinkGroups = Map<string, { readonly input: LayerInput; readonly group: string }>;

function placeOne(
  draft: Draft,
  base: BytePath,
  input: LayerInput,
  links: LinkGroups,
  place: ArchivePlace,
): void {
  const { entry } = input;
  const path = literalPath(draft, base, entry.path, place.look);
  if (entry.type === 'whiteout') throw new BuildError('internal', 'an archive for ADD was read as a layer');
  const owned = { ...entry, path, mtimeNsec: 0, ...(place.owner ?? {}) } as Entry;
  if (entry.type === 'hardlink') {
    placeLink(draft, base, owned, links, place);
    return;
  }
  if (entry.type === 'file') {
    forget(links, path);
    const group = `${place.group} ${links.size} ${path}`;
    links.set(path, { input, group });
    draft.put({ entry: owned, ...(input.content ? { content: input.content } : {}), group });
    return;
  }
  forget(links, path);
  draft.put({ entry: owned });
}

/** What was there is replaced, with everything below it. */
function forget(links: LinkGroups, path: string): void {
  links.delete(path);
  for (const each of links.keys()) if (each.startsWith(`${path}/`)) links.delete(each);
}

/** A hard link is another name of something in the same archive, and its header is the last word on that file. */
function placeLink(draft: Draft, base: BytePath, entry: Entry, links: LinkGroups, place: ArchivePlace): void {
  const wanted = entry.linkTarget ?? '';
  const target = literalPath(draft, base, wanted as BytePath, place.look, true);
  const found = links.get(target);
  const there = draft.lookup(target);
  if (there?.type === 'symlink') {
    draft.put({ entry: { ...there, path: entry.path } });
    return;
  }
  if (found === undefined || there?.type !== 'file') {
    const shown = printable(showPath(entry.path));
    throw new BuildError(
      'integrity',
      `the hard link "${shown}" in an archive leads to "${printable(showPath(wanted))}", which is no file of it`,
      { facts: { path: showPath(entry.path), target: showPath(wanted) } },
    );
  }
  links.set(entry.path, found);
  const { content } = found.input;
  const { linkTarget: _, ...look } = entry;
  for (const [path, other] of links) {
    if (other.group !== found.group) continue;
    const named: Entry = { ...look, path: path as BytePath, type: 'file', size: there.size };
    draft.put({ entry: named, ...(content ? { content } : {}), group: found.group });
  }
}

/** Parents are followed and made where they are missing; the last component is not followed. */
function literalPath(
  draft: Draft,
  base: BytePath,
  path: BytePath,
  look: DirectoryLook,
  existing = false,
): BytePath {
  if (!existing) draft.ensureDirectory(draft.place(parentPath(path), false, base), look);
  return draft.place(path, true, base);
}
