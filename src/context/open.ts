// From what the user names as context to a tree, a Dockerfile and the ignore rules in force
// (https://docs.docker.com/build/concepts/context/): a directory, `-`, an archive, a git or http URL.
import { lstatSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { BuildError, errnoOf, messageOf, printable, type SourceFile } from '../errors.ts';
import type { FileTree } from '../tree/file-tree.ts';
import { type DirectoryOptions, type DirectoryTree, openDirectory, type StatIndex } from './dir.ts';
import type { Download } from './download.ts';
import { type IgnoreRules, parseIgnore } from './ignore.ts';
import { readStdin, readTextFile } from './text-file.ts';

/** What the machine lends; everything is optional and missed only when a context needs it. */
export interface ContextHelpers {
  /** The program's standard input. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Contents remembered from earlier builds; `scope` names the context. */
  readonly statIndex?: (scope: string) => StatIndex;
  /** For http contexts. */
  readonly download?: Download;
  readonly hashContents?: DirectoryOptions['hashContents'];
  readonly readXattrs?: DirectoryOptions['readXattrs'];
}

export interface ContextOptions extends ContextHelpers {
  /** Absolute; relative paths start here. */
  readonly cwd: string;
  /** `-f`: a path relative to `cwd` (to the context when that is remote), or `-`. Absent: looked for in the context. */
  readonly file?: string;
  /** none: the context is only copied from. Default find. */
  readonly dockerfile?: 'find' | 'none';
  /** Name of a named context, for messages. */
  readonly name?: string;
  /** Directory for what has to be unpacked or fetched. */
  readonly tmp: string;
  readonly signal: AbortSignal;
}

export interface OpenedContext {
  readonly tree: FileTree;
  /** Empty when none was asked for. */
  readonly dockerfile: SourceFile;
  /** In force for the tree; its `file.name` is shown in messages. */
  readonly ignore: IgnoreRules;
  /** Removes temporary files and keeps what was learned about unchanged ones. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** In this order. */
const dockerfileNames = ['Dockerfile', 'dockerfile', 'Containerfile'];
const noRules = parseIgnore({ name: '.dockerignore', text: '' });

/**
 * @param spec as on the command line
 * @throws BuildError `context` when something is missing, unreadable or malformed
 */
export async function openContext(spec: string, options: ContextOptions): Promise<OpenedContext> {
  const root = directoryOf(spec, options);
  return openLocal(root, options);
}

function directoryOf(spec: string, options: ContextOptions): string {
  const what = options.name === undefined ? 'the build context' : `the context "${printable(options.name)}"`;
  const path = resolve(options.cwd, spec);
  try {
    if (statSync(path).isDirectory()) return realpathSync(path);
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT';
    throw new BuildError(
      'context',
      `${what} "${printable(spec)}" ${missing ? 'does not exist' : `cannot be read: ${messageOf(error)}`}`,
      {
        cause: error,
        facts: { path },
      },
    );
  }
  throw new BuildError('context', `${what} "${printable(spec)}" is neither a directory nor an archive`, {
    facts: { path },
  });
}

async function openLocal(root: string, options: ContextOptions): Promise<OpenedContext> {
  const found = options.dockerfile === 'none' ? undefined : await localDockerfile(root, options);
  const ignore = ignoreRules(root, found?.path, options.cwd);
  const statIndex = options.statIndex?.(root);
  const tree: DirectoryTree = openDirectory(root, ignore, {
    description: options.name === undefined ? 'the build context' : `context "${options.name}"`,
    ...(statIndex ? { statIndex } : {}),
    ...(options.hashContents ? { hashContents: options.hashContents } : {}),
    ...(options.readXattrs ? { readXattrs: options.readXattrs } : {}),
  });
  return {
    tree,
    dockerfile: found?.file ?? { name: 'Dockerfile', text: '' },
    ignore,
    [Symbol.asyncDispose]: async () => tree.save(),
  };
}

interface FoundDockerfile {
  readonly file: SourceFile;
  /** On disk; absent for standard input. */
  readonly path?: string;
}

async function localDockerfile(root: string, options: ContextOptions): Promise<FoundDockerfile> {
  if (options.file === '-') return { file: { name: 'stdin', text: await readStdin(options.stdin) } };
  if (options.file !== undefined) {
    const path = resolve(options.cwd, options.file);
    return { file: { name: options.file, text: readTextFile(path, options.file) }, path };
  }
  for (const name of dockerfileNames) {
    const path = join(root, name);
    if (lstatSync(path, { throwIfNoEntry: false })) {
      return { file: { name, text: readTextFile(confined(root, path, name), name) }, path };
    }
  }
  throw new BuildError('context', `there is no Dockerfile in ${printable(root)}`, {
    hint: `looked for ${dockerfileNames.join(', ')}; name another file with -f`,
    facts: { path: root },
  });
}

/** The file that belongs to the Dockerfile wins over the context's. */
function ignoreRules(root: string, dockerfile: string | undefined, cwd: string): IgnoreRules {
  const beside = dockerfile === undefined ? undefined : `${dockerfile}.dockerignore`;
  if (beside !== undefined && lstatSync(beside, { throwIfNoEntry: false })) {
    const name = displayPath(beside, root, cwd);
    const path = isBelow(root, beside) ? confined(root, beside, name) : beside;
    return parseIgnore({ name, text: readTextFile(path, name) });
  }
  const path = join(root, '.dockerignore');
  if (!lstatSync(path, { throwIfNoEntry: false })) return noRules;
  return parseIgnore({
    name: '.dockerignore',
    text: readTextFile(confined(root, path, '.dockerignore'), '.dockerignore'),
  });
}

function displayPath(path: string, root: string, cwd: string): string {
  return isBelow(root, path) ? relative(root, path) : relative(cwd, path);
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}

/**
 * The file that a path of the context leads to. A context may come from anybody: a link in it must not make us read,
 * and quote in an error, a file that is not part of it.
 * @throws BuildError `hostile`
 */
function confined(root: string, path: string, name: string): string {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    throw new BuildError(
      'context',
      `${printable(name)} leads nowhere: ${errnoOf(error) ?? messageOf(error)}`,
      { cause: error },
    );
  }
  if (isBelow(root, real)) return real;
  throw new BuildError('hostile', `${printable(name)} is a symbolic link that leads out of the context`, {
    hint: 'copy the file into the context, or name it with -f',
  });
}
