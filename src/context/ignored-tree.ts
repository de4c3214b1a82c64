// A tree without what an ignore file leaves out.
import type { Digest } from '../image/digest.ts';
import type { BytePath, ContentSource, Entry } from '../tree/entry.ts';
import type { FileTree } from '../tree/file-tree.ts';
import type { IgnoreRules } from './ignore.ts';

/** A directory that is left out is there all the same when something in it is taken back in. */
export function withoutIgnored(tree: FileTree, rules: IgnoreRules): FileTree {
  return rules.empty ? tree : new IgnoredTree(tree, rules);
}

class IgnoredTree implements FileTree {
  readonly description: string;
  readonly #tree: FileTree;
  readonly #rules: IgnoreRules;
  /** Directories that are left out, and whether something in them is not. */
  readonly #holdsSomething = new Map<string, boolean>();

  constructor(tree: FileTree, rules: IgnoreRules) {
    this.description = tree.description;
    this.#tree = tree;
    this.#rules = rules;
  }

  lookup(path: BytePath): Entry | undefined {
    if (!this.#rules.ignores(path)) return this.#tree.lookup(path);
    if (!this.#rules.mayReinclude(path)) return undefined;
    const entry = this.#tree.lookup(path);
    return entry?.type === 'directory' && this.#holds(path) ? entry : undefined;
  }

  list(path: BytePath): readonly string[] {
    return this.#tree.list(path).filter(name => {
      const child = (path === '' ? name : `${path}/${name}`) as BytePath;
      return !this.#rules.ignores(child) || this.lookup(child) !== undefined;
    });
  }

  content(entry: Entry): ContentSource {
    return this.#tree.content(entry);
  }

  contentDigests(entries: readonly Entry[]): Promise<readonly Digest[]> {
    return this.#tree.contentDigests(entries);
  }

  stamp(path: BytePath): string | undefined {
    const rules = this.#rules;
    return this.#tree.stamp?.(path, {
      text: rules.file.text,
      ignores: each => rules.ignores(each),
      mayReinclude: each => rules.mayReinclude(each),
    });
  }

  linkGroup(entry: Entry): string | undefined {
    return this.#tree.linkGroup?.(entry);
  }

  hiddenBy(
    path: BytePath,
  ): { readonly pattern: string; readonly file: string; readonly line: number } | undefined {
    if (this.lookup(path) !== undefined || this.#tree.lookup(path) === undefined) return undefined;
    const match = this.#rules.match(path);
    return match && { pattern: match.pattern, file: this.#rules.file.name, line: match.line };
  }

  #holds(directory: BytePath): boolean {
    let holds = this.#holdsSomething.get(directory);
    if (holds === undefined) {
      const names = this.#tree.list(directory);
      holds = names.some(name => this.lookup(`${directory}/${name}` as BytePath) !== undefined);
      this.#holdsSomething.set(directory, holds);
    }
    return holds;
  }
}
