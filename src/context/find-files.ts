// The Dockerfile and the ignore file of a context. A context may come from anybody: a link in it must not make us read,
// and quote in an error, a file that is not part of it, so links are followed inside the tree only.
import { BuildError, printable, type SourceFile } from '../errors.ts';
import { type BytePath, bytePath, type Entry } from '../tree/entry.ts';
import type { FileTree } from '../tree/file-tree.ts';
import { readContent } from './content.ts';
import { type IgnoreRules, parseIgnore } from './ignore.ts';
import { cleanPath } from './pattern.ts';

/** In this order. */
export const dockerfileNames = ['Dockerfile', 'dockerfile', 'Containerfile'];
/** More is no Dockerfile. */
export const maxTextBytes = 2 * 1024 * 1024;
const maxLinks = 40;

export const noRules: IgnoreRules = parseIgnore({ name: '.dockerignore', text: '' });

/**
 * @param tree the whole context, with what an ignore file would hide
 * @param where for messages: the path or URL of the context
 * @throws BuildError `context` when there is none, `hostile` when it is a link out of the context
 */
export async function findDockerfile(tree: FileTree, where: string): Promise<SourceFile> {
  for (const name of dockerfileNames) {
    if (tree.lookup(bytePath(name))) return { name, text: await readText(tree, name) };
  }
  throw new BuildError('context', `there is no Dockerfile in ${printable(where)}`, {
    hint: `looked for ${dockerfileNames.join(', ')}; name another file with -f`,
    facts: { path: where },
  });
}

/**
 * The rules in force: those of the file that belongs to the Dockerfile, else those of the context.
 * @param dockerfile its path in the tree; undefined when it is not in there
 * @throws BuildError `context` for an invalid pattern
 */
export async function findIgnoreRules(tree: FileTree, dockerfile: string | undefined): Promise<IgnoreRules> {
  const names = [...(dockerfile === undefined ? [] : [`${dockerfile}.dockerignore`]), '.dockerignore'];
  const name = names.find(each => tree.lookup(bytePath(each)));
  return name === undefined ? noRules : parseIgnore({ name, text: await readText(tree, name) });
}

/**
 * A text file of the tree; leading `/` and `..` mean its root.
 * @throws BuildError `context` when it is missing, no regular file or larger than 2 MiB; `hostile` for a link that leads out of it
 */
export async function readText(tree: FileTree, name: string): Promise<string> {
  const path = bytePath(cleanPath(`/${name}`).slice(1));
  const entry = follow(tree, path);
  if (entry === undefined) throw missing(tree, path, name);
  if (entry.type !== 'file' && entry.type !== 'hardlink') {
    throw new BuildError('context', `${printable(name)} is no regular file`);
  }
  if (entry.size > maxTextBytes) throw tooLarge(name);
  const parts: Uint8Array[] = [];
  for await (const part of readContent(tree.content(entry))) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString('utf8');
}

function missing(tree: FileTree, path: BytePath, name: string): BuildError {
  if (tree.lookup(path)?.type === 'symlink') {
    return new BuildError(
      'hostile',
      `${printable(name)} is a symbolic link to something that is not in the context`,
      {
        hint: 'copy the file into the context, or name it with -f',
      },
    );
  }
  return new BuildError('context', `${printable(name)} was not found in ${tree.description}`, {
    hint: '-f names a file relative to the current directory, or to the root of a remote context',
  });
}

export function tooLarge(name: string): BuildError {
  return new BuildError('context', `${printable(name)} is larger than 2 MiB`);
}

/** What a path leads to when links are followed inside the tree. */
function follow(tree: FileTree, path: BytePath): Entry | undefined {
  let at = '';
  const ahead = path.split('/').reverse();
  for (let links = 0; ahead.length > 0; ) {
    const name = ahead.pop() ?? '';
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const next = (at === '' ? name : `${at}/${name}`) as BytePath;
    const entry = tree.lookup(next);
    if (entry === undefined) return undefined;
    if (entry.type !== 'symlink') {
      at = next;
      continue;
    }
    if (++links > maxLinks) return undefined;
    const text = entry.linkTarget ?? '';
    if (text.startsWith('/')) at = '';
    ahead.push(...text.split('/').reverse());
  }
  return tree.lookup(at as BytePath);
}
