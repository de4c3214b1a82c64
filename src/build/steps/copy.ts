// Where the files of COPY and ADD go, and the layer that this makes: the rules of
// https://docs.docker.com/reference/dockerfile/#copy as BuildKit carries them out, one source after the other, on a
// file system in memory. Nothing is read or written here.

import { type SelectedFile, selectionDigest } from '../../cache/checksum.ts';
import { frame, type KeyPart } from '../../cache/key.ts';
import { BuildError, printable } from '../../errors.ts';
import type { View } from '../../layer/layers.ts';
import type { CopyStep } from '../../plan/steps.ts';
import {
  type BytePath,
  bytePath,
  type ContentSource,
  type Entry,
  type LayerInput,
  showPath,
} from '../../tree/entry.ts';
import type { FileTree } from '../../tree/file-tree.ts';
import { placeArchive } from './copy-archive.ts';
import { type DirectoryLook, Draft, parentPath } from './copy-draft.ts';
import { type ModeChange, newDirectoryMode, parseMode } from './copy-mode.ts';
import type {
  ArchiveSource,
  FileSource,
  SelectedEntry,
  Selection,
  Source,
  TreeSource,
} from './copy-selection.ts';

export { type FetchedItems, type Selection, selectSources } from './copy-selection.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface CopyOptions {
  /** Time of directories and files that have none of their own, in milliseconds since 1970. */
  readonly nowMs: number;
}

/** What the cache key needs to know of a selection: for each source what it is called and what it holds. */
export function selectionParts(selection: Selection): Promise<KeyPart[]> {
  return Promise.all(
    selection.sources.map(async (source, i) => ({
      name: `source ${i}`,
      value: await describeSource(source),
    })),
  );
}

async function describeSource(source: Source): Promise<string> {
  switch (source.kind) {
    case 'file':
      return frame(['file', source.name, String(source.mode), String(source.mtimeSec ?? ''), source.digest]);
    case 'archive':
      throw new BuildError('internal', 'an archive is known by its file, not by what is in it');
    case 'tree': {
      const files = source.entries.filter(each => isFile(each.entry)).map(each => each.entry);
      const digests = await source.tree.contentDigests(files);
      const contents = new Map(files.map((file, i) => [file, digests[i]]));
      const selected = source.entries.map((each): SelectedFile => {
        const content = contents.get(each.entry);
        return {
          path: each.relative as BytePath,
          entry: asFile(each.entry, source.tree),
          ...(content ? { content } : {}),
        };
      });
      const links = linkGroups(source);
      const implied = frame(source.entries.filter(each => each.implied).map(each => each.relative));
      const digest = selectionDigest(selected, { owners: true });
      return frame(['tree', source.name, digest, links, implied]);
    }
  }
}

/** Which names are one file, as far as both are selected. */
function linkGroups(source: TreeSource): string {
  const groups = new Map<string, string[]>();
  for (const { entry, relative } of source.entries) {
    const group = linkGroup(source.tree, entry);
    if (group === undefined) continue;
    groups.set(group, [...(groups.get(group) ?? []), relative]);
  }
  return frame([...groups.values()].filter(names => names.length > 1).map(frame));
}

/**
 * The layer that a COPY or ADD makes: in byte order, each path once, with every directory above what it changes.
 * @param dest what the layer will stand on
 * @param owner of everything that is copied and made; absent: files keep theirs, made directories belong to root
 * @throws BuildError `context` when a directory and a file are in each other's way, `unsupported` for `.wh.` names
 */
export function planCopy(
  selection: Selection,
  dest: View,
  step: Pick<CopyStep, 'dest' | 'chmod' | 'link'>,
  owner: Owner | undefined,
  options: CopyOptions,
): LayerInput[] {
  const draft = new Draft(step.link ? undefined : dest);
  const copier = new Copier(draft, step, owner, options);
  for (const [i, source] of selection.sources.entries()) copier.copy(source, i);
  return draft.result();
}

/**
 * The layer of a WORKDIR: a directory with its parents; empty when it is there already.
 * @param owner absent: root, where no setgid directory says otherwise
 */
export function planDirectory(
  view: View,
  path: BytePath,
  owner: Owner | undefined,
  nowMs: number,
): LayerInput[] {
  const draft = new Draft(view);
  const { uid, gid } = owner ?? { uid: 0, gid: 0 };
  const mtimeSec = Math.floor(nowMs / 1000);
  draft.ensureDirectory(path, { mode: 0o755, uid, gid, mtimeSec, hasOwner: owner !== undefined });
  return draft.result();
}

class Copier {
  readonly #draft: Draft;
  /** Without slashes at the ends. */
  readonly #dest: BytePath;
  /** The destination was written with a slash at its end. */
  readonly #isDirectory: boolean;
  readonly #owner: Owner | undefined;
  readonly #chmod: ModeChange | undefined;
  readonly #look: DirectoryLook;

  constructor(
    draft: Draft,
    step: Pick<CopyStep, 'dest' | 'chmod'>,
    owner: Owner | undefined,
    options: CopyOptions,
  ) {
    this.#draft = draft;
    this.#dest = bytePath(step.dest.replace(/^\/+|\/+$/g, ''));
    this.#isDirectory = step.dest.endsWith('/');
    this.#owner = owner;
    this.#chmod = step.chmod === undefined ? undefined : parseMode(step.chmod);
    const mode = step.chmod === undefined ? 0o755 : newDirectoryMode(step.chmod);
    const mtimeSec = Math.floor(options.nowMs / 1000);
    this.#look = { mode, ...(owner ?? { uid: 0, gid: 0 }), mtimeSec, hasOwner: owner !== undefined };
  }

  copy(source: Source, index: number): void {
    if (source.kind === 'archive') {
      this.#copyArchive(source, index);
      return;
    }
    this.#draft.ensureDirectory(this.#isDirectory ? this.#dest : parentPath(this.#dest), this.#look);
    if (source.kind === 'file') this.#copySingle(source);
    else if (source.root.type === 'directory') this.#copyDirectory(source, index);
    else this.#copyTreeFile(source);
  }

  /** --chmod is not for what is in an archive, nor for the directory that it is unpacked into. */
  #copyArchive(source: ArchiveSource, index: number): void {
    const { path } = this.#draft.ensureDirectory(this.#dest, { ...this.#look, mode: 0o755 });
    const look = { mode: 0o755, uid: 0, gid: 0, mtimeSec: this.#look.mtimeSec };
    placeArchive(this.#draft, path, source, { owner: this.#owner, look, group: `${index}` });
  }

  #copySingle(source: FileSource): void {
    const entry: Entry = {
      path: this.#target(source.name),
      type: 'file',
      mode: this.#chmod?.(source.mode, false) ?? source.mode,
      uid: this.#look.uid,
      gid: this.#look.gid,
      mtimeSec: source.mtimeSec ?? this.#look.mtimeSec,
      mtimeNsec: 0,
      size: source.size,
    };
    this.#putFile({ entry, content: source.content });
  }

  #copyTreeFile(source: TreeSource): void {
    const entry = this.#dressed(asFile(source.root, source.tree), this.#target(source.name));
    const content = isFile(source.root) ? source.tree.content(source.root) : undefined;
    this.#putFile(content ? { entry, content } : { entry });
  }

  /** A file goes into a destination that is a directory, else it becomes the destination. */
  #target(name: string): BytePath {
    const place = this.#draft.place(this.#dest);
    if (place !== '' && this.#draft.lookup(place)?.type !== 'directory') return place;
    return (place === '' ? name : `${place}/${name}`) as BytePath;
  }

  #putFile(placed: {
    readonly entry: Entry;
    readonly content?: ContentSource;
    readonly group?: string;
  }): void {
    const { path } = placed.entry;
    if (this.#draft.lookup(path)?.type === 'directory' || path === '') {
      throw blocked(path, 'a directory is in the way of the file');
    }
    this.#draft.put(placed);
  }

  /** The contents of a directory go into the destination, which takes over its time and nothing else. */
  #copyDirectory(source: TreeSource, index: number): void {
    const place = this.#draft.place(this.#dest);
    const there = place === '' ? undefined : this.#draft.lookup(place);
    if (there && there.type !== 'directory')
      throw blocked(place, 'it is no directory, so no directory can be copied to it');
    const { path } = this.#draft.ensureDirectory(this.#dest, this.#look);
    const now = path === '' ? undefined : this.#draft.lookup(path);
    if (now) this.#draft.put({ entry: { ...now, mtimeSec: source.root.mtimeSec, mtimeNsec: 0 } });
    for (const selected of source.entries)
      if (selected.relative !== '') this.#copyBelow(source, selected, path, index);
  }

  #copyBelow(source: TreeSource, selected: SelectedEntry, base: BytePath, index: number): void {
    const path = (base === '' ? selected.relative : `${base}/${selected.relative}`) as BytePath;
    if (selected.entry.type === 'directory') {
      this.#mergeDirectory(selected, path);
      return;
    }
    const entry = this.#dressed(asFile(selected.entry, source.tree), path);
    if (!isFile(selected.entry)) {
      this.#putFile({ entry });
      return;
    }
    const group = linkGroup(source.tree, selected.entry);
    const content = source.tree.content(selected.entry);
    this.#putFile({ entry, content, ...(group === undefined ? {} : { group: `${index} ${group}` }) });
  }

  #mergeDirectory(selected: SelectedEntry, path: BytePath): void {
    const there = this.#draft.lookup(path);
    if (there && there.type !== 'directory')
      throw blocked(path, 'it is no directory, so no directory can be copied to it');
    if (there && selected.implied) return;
    this.#draft.put({ entry: this.#dressed(selected.entry, path) });
  }

  /** Owner and mode as asked for; whole seconds, as layers have them. */
  #dressed(entry: Entry, path: BytePath): Entry {
    const mode =
      this.#chmod && entry.type !== 'symlink'
        ? this.#chmod(entry.mode, entry.type === 'directory')
        : entry.mode;
    return { ...entry, path, mode, ...(this.#owner ?? {}), mtimeNsec: 0 };
  }
}

function isFile(entry: Entry): boolean {
  return entry.type === 'file' || entry.type === 'hardlink';
}

/** A further name of a file stands for the file itself until it is known which of its names are copied. */
function asFile(entry: Entry, tree: FileTree): Entry {
  if (entry.type !== 'hardlink') return entry;
  const { linkTarget, ...rest } = entry;
  const size = linkTarget === undefined ? 0 : (tree.lookup(linkTarget as BytePath)?.size ?? 0);
  return { ...rest, type: 'file', size };
}

/** Equal for names of one file; undefined when there is certainly no other name. */
function linkGroup(tree: FileTree, entry: Entry): string | undefined {
  if (entry.type === 'hardlink') return entry.linkTarget;
  if (entry.type !== 'file') return undefined;
  return tree.linkGroup ? tree.linkGroup(entry) : entry.path;
}

function blocked(path: BytePath, why: string): BuildError {
  return new BuildError('context', `cannot copy to "/${printable(showPath(path))}": ${why}`, {
    facts: { path: showPath(path) },
  });
}
