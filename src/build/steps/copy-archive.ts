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
  const placed = new PlacedFiles(place.group);
  for (const input of source.inputs) {
    if (input.entry.path === '') continue;
    placeOne(draft, base, input, placed, place);
  }
}

interface PlacedFile {
  readonly input: LayerInput;
  readonly group: string;
  /** Literal paths of all its names. */
  readonly names: Set<string>;
}

/** The archive's files that are still there, by literal path. */
class PlacedFiles {
  readonly #group: string;
  readonly #files = new Map<string, PlacedFile>();
  #count = 0;

  constructor(group: string) {
    this.#group = group;
  }

  get(path: string): PlacedFile | undefined {
    return this.#files.get(path);
  }

  /** @returns the name of the file's group */
  add(path: string, input: LayerInput): string {
    const group = `${this.#group} ${this.#count++}`;
    this.#files.set(path, { input, group, names: new Set([path]) });
    return group;
  }

  link(path: string, file: PlacedFile): void {
    file.names.add(path);
    this.#files.set(path, file);
  }

  /** @param below a directory goes, with everything in it */
  forget(path: string, below: boolean): void {
    this.#forgetOne(path);
    if (!below) return;
    for (const each of this.#files.keys()) if (each.startsWith(`${path}/`)) this.#forgetOne(each);
  }

  #forgetOne(path: string): void {
    this.#files.get(path)?.names.delete(path);
    this.#files.delete(path);
  }
}

function placeOne(
  draft: Draft,
  base: BytePath,
  input: LayerInput,
  placed: PlacedFiles,
  place: ArchivePlace,
): void {
  const { entry } = input;
  const path = literalPath(draft, base, entry.path, place.look);
  if (entry.type === 'whiteout') throw new BuildError('internal', 'an archive for ADD was read as a layer');
  const owned = { ...entry, path, mtimeNsec: 0, ...(place.owner ?? {}) } as Entry;
  if (entry.type === 'hardlink') {
    placeLink(draft, base, owned, placed, place);
    return;
  }
  placed.forget(path, entry.type !== 'directory' && draft.lookup(path)?.type === 'directory');
  if (entry.type !== 'file') {
    draft.put({ entry: owned });
    return;
  }
  const group = placed.add(path, input);
  draft.put({ entry: owned, ...(input.content ? { content: input.content } : {}), group });
}

/** A hard link is another name of something in the same archive, and its header is the last word on that file. */
function placeLink(
  draft: Draft,
  base: BytePath,
  entry: Entry,
  placed: PlacedFiles,
  place: ArchivePlace,
): void {
  const wanted = entry.linkTarget ?? '';
  const target = literalPath(draft, base, wanted as BytePath, place.look, true);
  const found = placed.get(target);
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
  if (entry.path !== target) placed.forget(entry.path, draft.lookup(entry.path)?.type === 'directory');
  placed.link(entry.path, found);
  const { content } = found.input;
  const { linkTarget: _, ...look } = entry;
  for (const path of found.names) {
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
