// What COPY and ADD read, decided from a FileTree alone: which files each source stands for, with the rules of
// https://docs.docker.com/reference/dockerfile/#copy. Where they go is copy.ts. Pure but for what the tree reads.

import { compileGlob, type Glob, hasWildcards } from '../../context/glob.ts';
import { compileExcludes, type IgnoreRules } from '../../context/ignore.ts';
import { cleanPath } from '../../context/pattern.ts';
import { BuildError, type Diagnostic, printable, type SourceRange } from '../../errors.ts';
import { type Digest, digestOf } from '../../image/digest.ts';
import { resolvePath } from '../../layer/lookup.ts';
import type { CopyItem, CopyStep } from '../../plan/steps.ts';
import {
  type BytePath,
  bytePath,
  type ContentSource,
  type Entry,
  type LayerInput,
  showPath,
} from '../../tree/entry.ts';
import type { FileTree } from '../../tree/file-tree.ts';

/** One file of a source. */
export interface SelectedEntry {
  /** Below the source; '' is the source itself. */
  readonly relative: string;
  /** As the tree has it. */
  readonly entry: Entry;
  /** A directory that is there for what is selected below it only: it gets these properties when it is new. */
  readonly implied: boolean;
}

/** A file or a directory of a tree. */
export interface TreeSource {
  readonly kind: 'tree';
  /** What a file is called in a destination that is a directory. */
  readonly name: string;
  readonly tree: FileTree;
  /** Reached through all symlinks. */
  readonly root: Entry;
  /** Parents before children, in byte order. The root is the first. */
  readonly entries: readonly SelectedEntry[];
}

/** One file that does not come from a tree: a heredoc, a download. */
export interface FileSource {
  readonly kind: 'file';
  readonly name: string;
  readonly mode: number;
  /** Absent: when it is copied. */
  readonly mtimeSec?: number;
  readonly size: number;
  readonly content: ContentSource;
  readonly digest: Digest;
  /** It was downloaded: unpacked only when --unpack asks for it. */
  readonly remote?: boolean;
  /** Brings the content, which is not there before; its digest is known already. */
  readonly bring?: () => Promise<void>;
}

/** An archive that is unpacked into the destination. */
export interface ArchiveSource {
  readonly kind: 'archive';
  readonly name: string;
  /** In archive order; paths relative to the destination. */
  readonly inputs: readonly LayerInput[];
}

export type Source = TreeSource | FileSource | ArchiveSource;

export interface Selection {
  readonly sources: readonly Source[];
  readonly warnings: readonly Diagnostic[];
}

/** What ADD fetched for its URL and git items. */
export type FetchedItems = ReadonlyMap<CopyItem, FileSource | TreeSource>;

/**
 * @param tree what paths are looked up in
 * @throws BuildError `context` for a file that is not there, `dockerfile` for a malformed pattern
 */
export function selectSources(step: CopyStep, tree: FileTree, fetched: FetchedItems = new Map()): Selection {
  const selector = new Selector(step, tree);
  const sources: Source[] = [];
  for (const item of step.items) {
    if (item.kind === 'path') sources.push(...selector.select(item.path, item.range));
    else if (item.kind === 'inline') sources.push(inlineSource(item.name, item.text));
    else {
      const found = fetched.get(item);
      if (!found)
        throw new BuildError('internal', `${item.kind} source was not fetched: ${printable(item.url)}`);
      sources.push(found);
    }
  }
  return { sources, warnings: selector.warnings };
}

/**
 * Equal only when {@link selectSources} would find the same files with the same content; undefined when that cannot be
 * told without looking at each. For whole directories: files by themselves are looked at as fast.
 */
export function stampOf(step: CopyStep, tree: FileTree): string | undefined {
  if (step.parents || !tree.stamp) return undefined;
  const stamps: string[] = [];
  let hasDirectory = false;
  for (const item of step.items) {
    if (item.kind === 'inline') continue; // its text is in the step
    if (item.kind !== 'path' || hasWildcards(clamp(item.path))) return undefined;
    const path = resolvePath(each => tree.lookup(each), clamp(item.path));
    const stamp = path === undefined ? undefined : tree.stamp(path);
    if (path === undefined || stamp === undefined) return undefined;
    hasDirectory ||= tree.lookup(path)?.type === 'directory';
    stamps.push(stamp);
  }
  return hasDirectory ? stamps.join(' ') : undefined;
}

/** Paths of a step that are not in the tree, each with what {@link selectSources} would throw. Wildcards may match nothing. */
export function missingSources(step: CopyStep, tree: FileTree): readonly BuildError[] {
  if (step.parents) return [];
  const selector = new Selector(step, tree);
  return step.items.flatMap(item => (item.kind === 'path' ? selector.missing(item.path, item.range) : []));
}

/** Everything below a directory of a tree, as one source; for git references and tests. */
export function wholeTree(
  tree: FileTree,
  directory: BytePath,
  name: string,
  excludes: readonly string[] = [],
): TreeSource {
  const root = tree.lookup(directory);
  if (root === undefined)
    throw new BuildError('context', `${printable(showPath(directory))} is not in ${tree.description}`);
  const filter = excludes.length > 0 ? { excludes: compileExcludes(excludes) } : {};
  return { kind: 'tree', name, tree, root, entries: collect(tree, root, filter) };
}

function inlineSource(name: string, text: string): FileSource {
  const bytes = Buffer.from(text, 'utf8');
  const clean = cleanPath(`/${name}`).split('/').at(-1) ?? name;
  return {
    kind: 'file',
    name: bytePath(clean),
    mode: 0o644,
    size: bytes.length,
    content: { kind: 'bytes', bytes },
    digest: digestOf(bytes),
  };
}

class Selector {
  readonly warnings: Diagnostic[] = [];
  readonly #step: CopyStep;
  readonly #tree: FileTree;
  readonly #excludes: IgnoreRules | undefined;

  constructor(step: CopyStep, tree: FileTree) {
    this.#step = step;
    this.#tree = tree;
    this.#excludes = step.excludes.length > 0 ? compileExcludes(step.excludes) : undefined;
  }

  select(written: string, range: SourceRange): TreeSource[] {
    return this.#step.parents ? this.#withParents(written, range) : this.#plain(written, range);
  }

  missing(written: string, range: SourceRange): BuildError[] {
    const path = clamp(written);
    if (hasWildcards(path)) return [];
    try {
      this.#resolve(path, written, range);
      return [];
    } catch (error) {
      if (error instanceof BuildError && error.code === 'context') return [error];
      throw error;
    }
  }

  #plain(written: string, range: SourceRange): TreeSource[] {
    const path = clamp(written);
    const parts = path.split('/');
    const first = parts.findIndex(hasWildcards);
    if (first < 0) {
      const root = this.#resolve(path, written, range);
      return [this.#source(root, baseName(path))];
    }
    const prefix = parts.slice(0, first).join('/') as BytePath;
    const matches = this.#matches(prefix, parts.slice(first), range);
    if (matches.length === 0) this.#warnEmpty(written, range);
    return matches.map(match => this.#source(this.#resolve(match, showPath(match), range), baseName(match)));
  }

  #matches(prefix: BytePath, pattern: readonly string[], range: SourceRange): BytePath[] {
    const base = resolvePath(path => this.#tree.lookup(path), prefix);
    if (base === undefined || this.#tree.lookup(base)?.type !== 'directory') {
      throw this.#missing(prefix, showPath(prefix), range);
    }
    const globs = pattern.map(part => placed(() => compileGlob(part), range));
    const whole = placed(() => compileGlob(pattern.join('/')), range);
    const found = whole.mayCrossSlash
      ? matchAnywhere(this.#tree, base, whole)
      : matchLevel(this.#tree, base, globs);
    const excludes = this.#excludes;
    const below = (path: BytePath) => (base === '' ? path : path.slice(base.length + 1)) as BytePath;
    const kept = excludes ? found.filter(path => !excludes.ignores(below(path))) : found;
    return kept.map(path => join(prefix, below(path)));
  }

  /** The directories in the source are kept in the destination, from the pivot `/./` on. */
  #withParents(written: string, range: SourceRange): TreeSource[] {
    const pivot = written.indexOf('/./');
    const start = pivot < 0 ? '' : written.slice(0, pivot);
    const pattern = cleanPath(`/${pivot < 0 ? written : written.slice(pivot + 3)}`).slice(1);
    const only = placed(() => parentsPattern(pattern), range);
    const sources: TreeSource[] = [];
    for (const base of this.#pivots(start, written, range)) {
      const entries = collect(this.#tree, base, {
        only,
        ...(this.#excludes ? { excludes: this.#excludes } : {}),
      });
      if (entries.length > 1 || pattern === '') {
        sources.push({ kind: 'tree', name: '', tree: this.#tree, root: base, entries });
      } else if (!hasWildcards(pattern) && !hasWildcards(start))
        this.#refuseMissing(base, pattern, written, range);
    }
    if (sources.length === 0) this.#warnEmpty(written, range);
    return sources;
  }

  #pivots(start: string, written: string, range: SourceRange): Entry[] {
    const path = clamp(start);
    const parts = path.split('/');
    const first = parts.findIndex(hasWildcards);
    const paths =
      first < 0
        ? [path]
        : this.#matches(parts.slice(0, first).join('/') as BytePath, parts.slice(first), range);
    return paths.map(each => this.#resolve(each, written, range)).filter(entry => entry.type === 'directory');
  }

  #refuseMissing(base: Entry, pattern: string, written: string, range: SourceRange): void {
    const path = join(base.path, bytePath(pattern));
    if (this.#tree.lookup(path) === undefined) throw this.#missing(path, written, range);
  }

  #source(root: Entry, name: string): TreeSource {
    const filter = this.#excludes ? { excludes: this.#excludes } : {};
    return { kind: 'tree', name, tree: this.#tree, root, entries: collect(this.#tree, root, filter) };
  }

  #resolve(path: BytePath, written: string, range: SourceRange): Entry {
    const literal = resolvePath(each => this.#tree.lookup(each), path);
    const entry = literal === undefined ? undefined : this.#tree.lookup(literal);
    if (entry === undefined) throw this.#missing(path, written, range);
    return entry;
  }

  #missing(path: BytePath, written: string, range: SourceRange): BuildError {
    const shown = `/${printable(showPath(path))}`;
    const where = this.#tree.description;
    const hidden = this.#tree.hiddenBy?.(path);
    if (hidden) {
      const place = `${printable(hidden.file)}:${hidden.line}`;
      return new BuildError(
        'context',
        `"${shown}" is left out of ${where} by the pattern "${printable(hidden.pattern)}" (${place})`,
        {
          range,
          hint: `change that line, or take the file back in with a later line "!${showPath(path)}"`,
          facts: { path: showPath(path), pattern: hidden.pattern, file: hidden.file, line: hidden.line },
        },
      );
    }
    const link = this.#tree.lookup(path);
    if (link?.type === 'symlink') {
      const target = printable(showPath(link.linkTarget ?? ''));
      return new BuildError(
        'context',
        `"${shown}" is a symbolic link to "${target}", which is not in ${where}`,
        {
          range,
          facts: { path: showPath(path) },
        },
      );
    }
    return new BuildError('context', `"${shown}" was not found in ${where}`, {
      range,
      ...hintOf(similar(this.#tree, path)),
      facts: { path: showPath(path), written },
    });
  }

  #warnEmpty(written: string, range: SourceRange): void {
    this.warnings.push({
      severity: 'warning',
      rule: 'empty-wildcard',
      message: `"${printable(written)}" matches nothing in ${this.#tree.description}, so nothing is copied for it`,
      range,
    });
  }
}

interface Filter {
  /** Only what this selects (--parents). */
  readonly only?: Parents;
  readonly excludes?: IgnoreRules;
}

/** The pattern of --parents, and a quick test which directories can hold something that it matches. */
interface Parents {
  readonly rules: IgnoreRules;
  mayHold(directory: string): boolean;
}

function parentsPattern(pattern: string): Parents {
  const rules = compileExcludes([pattern === '' ? '**' : pattern]);
  const parts = pattern.split('/');
  const deep = parts.findIndex(part => part.includes('**'));
  const globs = (deep < 0 ? parts : parts.slice(0, deep)).map(part => compileGlob(bytePath(part)));
  return {
    rules,
    mayHold: directory => directory.split('/').every((name, i) => globs[i]?.matches(name) ?? true),
  };
}

/** The files of a source that the filter lets through; a directory that is left out stays when something in it is not. */
function collect(tree: FileTree, root: Entry, filter: Filter): SelectedEntry[] {
  const found: SelectedEntry[] = [{ relative: '', entry: root, implied: filter.only !== undefined }];
  if (root.type === 'directory') collectBelow(tree, root.path, '', filter, found);
  return found;
}

function collectBelow(
  tree: FileTree,
  directory: BytePath,
  at: string,
  filter: Filter,
  into: SelectedEntry[],
): void {
  for (const name of tree.list(directory)) {
    const entry = tree.lookup(join(directory, name));
    if (entry === undefined) continue;
    const relative = (at === '' ? name : `${at}/${name}`) as BytePath;
    const excluded = filter.excludes?.ignores(relative) ?? false;
    const chosen = !excluded && (filter.only?.rules.ignores(relative) ?? true);
    if (entry.type !== 'directory') {
      if (chosen) into.push({ relative, entry, implied: false });
      continue;
    }
    if (excluded && !filter.excludes?.mayReinclude(relative)) continue;
    if (!chosen && !excluded && !filter.only?.mayHold(relative)) continue;
    const place = into.push({ relative, entry, implied: !chosen });
    collectBelow(tree, entry.path, relative, filter, into);
    if (!chosen && into.length === place) into.pop();
  }
}

/** Matches of one wildcard component after the other; a symlink on the way is not followed. */
function matchLevel(tree: FileTree, directory: BytePath, globs: readonly Glob[]): BytePath[] {
  const [glob, ...rest] = globs;
  if (glob === undefined) return [];
  const matches = tree
    .list(directory)
    .filter(name => glob.matches(name))
    .map(name => join(directory, name));
  if (rest.length === 0) return matches;
  return matches.flatMap(path =>
    tree.lookup(path)?.type === 'directory' ? matchLevel(tree, path, rest) : [],
  );
}

/** A class such as `[^a]` matches a slash too: then every path is tried, and a match is not entered. */
function matchAnywhere(tree: FileTree, base: BytePath, glob: Glob): BytePath[] {
  const found: BytePath[] = [];
  const visit = (directory: BytePath, at: string): void => {
    for (const name of tree.list(directory)) {
      const path = join(directory, name);
      const relative = at === '' ? name : `${at}/${name}`;
      if (glob.matches(relative)) found.push(path);
      else if (tree.lookup(path)?.type === 'directory') visit(path, relative);
    }
  };
  visit(base, '');
  return found;
}

/** Leading `/` and `..` mean the root of the tree. */
function clamp(written: string): BytePath {
  return bytePath(cleanPath(`/${written}`).slice(1));
}

function join(directory: string, name: string): BytePath {
  return (directory === '' || name === '' ? directory + name : `${directory}/${name}`) as BytePath;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Completes an error with its place. */
function placed<T>(make: () => T, range: SourceRange): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof BuildError) || error.range) throw error;
    throw new BuildError(error.code, error.message, {
      ...(error.hint ? { hint: error.hint } : {}),
      range,
      cause: error,
    });
  }
}

/** A name beside the missing one that differs in case only, or by one character. */
function similar(tree: FileTree, path: BytePath): string | undefined {
  const name = baseName(path);
  const directory = path.slice(0, Math.max(0, path.length - name.length - 1)) as BytePath;
  const names = tree.list(directory);
  const close =
    names.find(each => each.toLowerCase() === name.toLowerCase()) ?? names.find(each => isOneOff(each, name));
  return close === undefined ? undefined : showPath(join(directory, close));
}

function isOneOff(a: string, b: string): boolean {
  if (Math.min(a.length, b.length) < 3 || Math.abs(a.length - b.length) > 1) return false;
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const rest = (text: string, skip: number) => text.slice(same + skip);
  if (a.length === b.length)
    return (
      rest(a, 1) === rest(b, 1) ||
      (a[same] === b[same + 1] && a[same + 1] === b[same] && rest(a, 2) === rest(b, 2))
    );
  return a.length > b.length ? rest(a, 1) === rest(b, 0) : rest(a, 0) === rest(b, 1);
}

function hintOf(close: string | undefined): { hint?: string } {
  return close === undefined ? {} : { hint: `did you mean "${printable(close)}"?` };
}
