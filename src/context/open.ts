// From what the user names as context to a tree, a Dockerfile and the ignore rules in force
// (https://docs.docker.com/build/concepts/context/): a directory, `-`, an archive, a git or http URL.
import { createReadStream, lstatSync, realpathSync, type Stats, statSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { BuildError, errnoOf, messageOf, printable, type SourceFile } from '../errors.ts';
import { makeTempDir } from '../host/temp.ts';
import type { FileTree } from '../tree/file-tree.ts';
import { openArchive, openBody, openStdin } from './archive-context.ts';
import { authorizeGit } from './authorize.ts';
import type { ContextOptions, Fetched, OpenedContext } from './context.ts';
import { openDirectory } from './dir.ts';
import { findDockerfile, findIgnoreRules, noRules, readText } from './find-files.ts';
import { fetchGit } from './git.ts';
import { parseGitUrl } from './git-url.ts';
import { type IgnoreRules, parseIgnore } from './ignore.ts';
import { withoutIgnored } from './ignored-tree.ts';
import { readStdin, readTextFile } from './text-file.ts';

export type { ContextHelpers, ContextOptions, OpenedContext } from './context.ts';

/**
 * @param spec as on the command line
 * @throws BuildError `context` when something is missing, unreadable or malformed, `network` and others for remote ones
 */
export async function openContext(spec: string, options: ContextOptions): Promise<OpenedContext> {
  const local = statOf(spec, options.cwd);
  if (spec !== '-' && local?.isDirectory())
    return openLocal(realpathSync(resolve(options.cwd, spec)), options);
  const dir = await makeTempDir(options.tmp, 'context-');
  try {
    const fetched = await fetchContext(spec, local, options, dir.path);
    const opened = await complete(fetched, options);
    return { ...opened, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}

function statOf(spec: string, cwd: string): Stats | undefined {
  try {
    return statSync(resolve(cwd, spec));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ENAMETOOLONG')
      return undefined;
    throw new BuildError(
      'context',
      `the build context ${printable(spec)} cannot be read: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

async function fetchContext(
  spec: string,
  local: Stats | undefined,
  options: ContextOptions,
  dir: string,
): Promise<Fetched> {
  const description = describe(options);
  if (spec === '-') return openStdin(options, description, dir);
  if (local?.isFile()) {
    const stream = createReadStream(resolve(options.cwd, spec), { highWaterMark: 1024 * 1024 });
    return openArchive(stream, printable(spec), options, description, dir);
  }
  const git = local ? undefined : parseGitUrl(spec);
  if (git) {
    const checkout = await fetchGit(git, {
      dir,
      env: options.gitEnv ?? {},
      signal: options.signal,
      ...(options.keepGitDir === undefined ? {} : { keepGitDir: options.keepGitDir }),
      ...(options.watchProgram ? { watch: options.watchProgram } : {}),
      ...(options.secrets ? { authorize: authorizeGit(options.secrets) } : {}),
    });
    const hash = options.hashContents ? { hashContents: options.hashContents } : {};
    return {
      tree: openDirectory(checkout.root, { description, ...hash, ...checkout.look }),
      where: printable(git.remote),
      dateSec: checkout.commitSec,
    };
  }
  if (/^https?:\/\//i.test(spec)) return openBody(spec, options, description, dir);
  throw new BuildError(
    'context',
    local
      ? `${printable(spec)} is neither a directory nor an archive`
      : `the build context ${printable(spec)} does not exist`,
    {
      hint: 'name a directory, a tar archive, a git or http URL, or - for standard input',
      facts: { path: resolve(options.cwd, spec) },
    },
  );
}

function describe(options: ContextOptions): string {
  return options.name === undefined ? 'the build context' : `context "${printable(options.name)}"`;
}

/** Paths in a remote context are relative to its root. */
async function complete(
  fetched: Fetched,
  options: ContextOptions,
): Promise<Omit<OpenedContext, typeof Symbol.asyncDispose>> {
  const { tree } = fetched;
  const dockerfile = await remoteDockerfile(fetched, options);
  const inTree = options.file === '-' || fetched.dockerfile ? undefined : dockerfile.name;
  const ignore = options.ignoreInRemote === false ? noRules : await findIgnoreRules(tree, inTree);
  const date = fetched.dateSec === undefined ? {} : { dateSec: fetched.dateSec };
  return { tree: withoutIgnored(tree, ignore), dockerfile, ignore, ...date };
}

async function remoteDockerfile(fetched: Fetched, options: ContextOptions): Promise<SourceFile> {
  if (options.dockerfile === 'none') return noDockerfile;
  const outside = await dockerfileElsewhere(options);
  if (fetched.dockerfile) {
    if (options.file !== undefined)
      throw new BuildError('usage', 'the context is a Dockerfile already, so -f cannot name another one');
    return fetched.dockerfile;
  }
  if (outside) return outside;
  if (options.file === undefined) return findDockerfile(fetched.tree, fetched.where);
  return { name: options.file, text: await readText(fetched.tree, options.file) };
}

const noDockerfile: SourceFile = { name: 'Dockerfile', text: '' };

/** `-f -` and `-f https://...`, which are the same for every kind of context. */
async function dockerfileElsewhere(options: ContextOptions): Promise<SourceFile | undefined> {
  if (options.file === '-') return { name: 'stdin', text: await readStdin(options.stdin) };
  if (options.file === undefined || !/^https?:\/\//i.test(options.file)) return undefined;
  await using dir = await makeTempDir(options.tmp, 'dockerfile-');
  const fetched = await openBody(options.file, options, 'the Dockerfile', dir.path);
  if (fetched.dockerfile) return fetched.dockerfile;
  throw new BuildError('context', `${printable(options.file)} is an archive and no Dockerfile`);
}

async function openLocal(root: string, options: ContextOptions): Promise<OpenedContext> {
  const statIndex = options.statIndex?.(root);
  const whole = openDirectory(root, {
    description: describe(options),
    ...(statIndex ? { statIndex } : {}),
    ...(options.hashContents ? { hashContents: options.hashContents } : {}),
  });
  const { file, path } = await localDockerfile(whole, root, options);
  const ignore = await localIgnoreRules(whole, root, path, options.cwd);
  return {
    tree: withoutIgnored(whole, ignore),
    dockerfile: file,
    ignore,
    [Symbol.asyncDispose]: async () => whole.save(),
  };
}

interface LocalDockerfile {
  readonly file: SourceFile;
  /** Absolute; absent when it is no file of this machine. */
  readonly path?: string;
}

async function localDockerfile(
  tree: FileTree,
  root: string,
  options: ContextOptions,
): Promise<LocalDockerfile> {
  if (options.dockerfile === 'none') return { file: noDockerfile };
  const elsewhere = await dockerfileElsewhere(options);
  if (elsewhere) return { file: elsewhere };
  if (options.file === undefined) {
    const file = await findDockerfile(tree, root);
    return { file, path: resolve(root, file.name) };
  }
  const path = resolve(options.cwd, options.file);
  return { file: { name: options.file, text: readTextFile(path, options.file) }, path };
}

/** The Dockerfile may stand outside of the context, and its ignore file beside it. */
async function localIgnoreRules(
  tree: FileTree,
  root: string,
  dockerfile: string | undefined,
  cwd: string,
): Promise<IgnoreRules> {
  if (dockerfile === undefined) return findIgnoreRules(tree, undefined);
  const inside = relative(root, dockerfile);
  if (inside !== '..' && !inside.startsWith('../') && !isAbsolute(inside))
    return findIgnoreRules(tree, inside);
  const beside = `${dockerfile}.dockerignore`;
  if (!lstatSync(beside, { throwIfNoEntry: false })) return findIgnoreRules(tree, undefined);
  const name = relative(cwd, beside);
  return parseIgnore({ name, text: readTextFile(beside, name) });
}
