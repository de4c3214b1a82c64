// Walks symlinks in a tree of entries as the kernel would in a chroot: `..` stops at the root, absolute link texts
// start there. Pure: it asks `lookup` only.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, type Entry, showPath } from '../tree/entry.ts';
import { joinPath } from './whiteout.ts';

/** Answers for literal paths, no link followed; every directory on the way exists. */
export type Lookup = (path: BytePath) => Pick<Entry, 'type' | 'linkTarget'> | undefined;

/** The kernel's MAXSYMLINKS. */
const maxLinks = 40;

interface Walk {
  readonly lookup: Lookup;
  /** Missing components are taken as they are written. */
  readonly create: boolean;
  /** The last component is not followed when it is a link. */
  readonly keepLast: boolean;
}

/**
 * The literal path of the file that `path` reaches, links in every component followed.
 * @returns undefined when something on the way is missing or no directory
 * @throws BuildError `context` when it takes more than 40 links
 */
export function resolvePath(lookup: Lookup, path: BytePath): BytePath | undefined {
  return walk(path, { lookup, create: false, keepLast: false });
}

/**
 * Where a file written to `path` would stand: as {@link resolvePath}, but what is missing is named as it would be
 * created. The last component is not followed when `keepLast`, as for a file that replaces a link.
 * @returns undefined when something on the way is there and no directory
 * @throws BuildError `context` when it takes more than 40 links
 */
export function placePath(lookup: Lookup, path: BytePath, keepLast = false): BytePath | undefined {
  return walk(path, { lookup, create: true, keepLast });
}

function walk(path: BytePath, { lookup, create, keepLast }: Walk): BytePath | undefined {
  let at = '';
  let links = 0;
  const ahead = path.split('/').reverse();
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (!isDirectory(lookup, at, create)) return undefined;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = parentOf(at);
      continue;
    }
    const next = joinPath(at, name);
    const found = lookup(next);
    if (!found && !create) return undefined;
    if (found?.type !== 'symlink' || (keepLast && ahead.length === 0)) {
      at = next;
      continue;
    }
    if (++links > maxLinks) throw tooManyLinks(path);
    const text = found.linkTarget ?? '';
    if (text.startsWith('/')) at = '';
    ahead.push(...text.split('/').reverse());
  }
  return at as BytePath;
}

function isDirectory(lookup: Lookup, path: string, orMissing: boolean): boolean {
  if (path === '') return true;
  const found = lookup(path as BytePath);
  return found ? found.type === 'directory' : orMissing;
}

/** The directory that holds `path`; the root's is the root. */
export function parentOf(path: string): BytePath {
  return path.slice(0, Math.max(0, path.lastIndexOf('/'))) as BytePath;
}

function tooManyLinks(path: BytePath): BuildError {
  const shown = printable(showPath(path));
  return new BuildError('context', `too many symbolic links on the way to "/${shown}"`, {
    facts: { path: shown, errno: 'ELOOP' },
  });
}
