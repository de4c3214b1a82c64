// A commit of a git repository, checked out into a private directory. git is run without a shell, without the
// configuration of this machine or user, without hooks, filters and LFS, and with network protocols only; what the
// remote says is data to be checked, never an argument (https://git-scm.com/docs/git-fetch).
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, printable } from '../errors.ts';
import { askProgram, type WatchProgram } from '../host/process.ts';
import { removeTree } from '../host/temp.ts';
import { bytePath } from '../tree/entry.ts';
import type { Authorize } from './authorize.ts';
import { type DirectoryOptions, openDirectory } from './dir.ts';
import { type GitSource, isCommitId, isRefName } from './git-url.ts';

export interface GitOptions {
  /** Private directory to work in; it is the caller's to remove. */
  readonly dir: string;
  /** Proxies, SSH_AUTH_SOCK and certificates are taken from here, nothing else. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For the repository's host, and for submodules on it. */
  readonly authorize?: Authorize;
  /** Keeps `.git`. Default: what the source says, else false. */
  readonly keepGitDir?: boolean;
  readonly signal: AbortSignal;
  /** For each git that is started. */
  readonly watch?: WatchProgram;
}

export interface GitCheckout {
  /** Absolute path of the directory asked for. */
  readonly root: string;
  readonly commit: string;
  /** When the commit was made, in seconds since 1970. */
  readonly commitSec: number;
  /** How its files are to be seen. */
  readonly look: Pick<DirectoryOptions, 'gitModes' | 'mtimeSec'>;
}

/** @throws BuildError `network`, `auth`, `not-found` (ref or directory), `integrity` (checksum), `hostile` */
export async function fetchGit(source: GitSource, options: GitOptions): Promise<GitCheckout> {
  const repository = new Repository(source, options);
  await repository.fetch();
  const commit = await repository.checkOut();
  const commitSec = await repository.commitTime(commit);
  if (options.keepGitDir ?? source.keepGitDir ?? false) await repository.nameOrigin();
  else await repository.removeGitDirs();
  return {
    root: repository.directory(source.subdir),
    commit,
    commitSec,
    look: { gitModes: true, ...(source.mtime === 'commit' ? { mtimeSec: commitSec } : {}) },
  };
}

const passed = [
  'PATH',
  'SSH_AUTH_SOCK',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap(name => [name, name.toUpperCase()]),
];

/** Given by environment, so that the git processes of submodules have it too and the URL is not in the process list. */
const settings: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'core.symlinks': 'true',
  'core.autocrlf': 'false',
  'core.attributesFile': '/dev/null',
  'credential.helper': '',
  'http.followRedirects': 'initial',
  'protocol.allow': 'never',
  'protocol.http.allow': 'always',
  'protocol.https.allow': 'always',
  'protocol.ssh.allow': 'always',
  'protocol.git.allow': 'always',
  'fetch.recurseSubmodules': 'false',
  'submodule.recurse': 'false',
  'transfer.bundleURI': 'false',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'advice.detachedHead': 'false',
};

/** The ref that what was fetched is kept under. */
const target = 'refs/slipway/target';
const longestMs = 30 * 60 * 1000;

class Repository {
  readonly #source: GitSource;
  readonly #options: GitOptions;
  readonly #root: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(source: GitSource, options: GitOptions) {
    this.#source = source;
    this.#options = options;
    this.#root = join(options.dir, 'checkout');
    mkdirSync(this.#root, { mode: 0o700 });
    this.#env = environment(source.remote, options);
  }

  async fetch(): Promise<void> {
    await this.#git('init', '-q', '--template=');
    const wanted = await this.#wanted();
    try {
      await this.#git(
        'fetch',
        '-q',
        '--depth=1',
        '--no-tags',
        '--end-of-options',
        'origin',
        `+${wanted}:${target}`,
      );
    } catch (error) {
      // Many servers give a commit only to those who ask for a branch that holds it.
      if (!isCommitId(wanted) || (error as BuildError).code !== 'network') throw error;
      await this.#git(
        'fetch',
        '-q',
        '--no-tags',
        '--end-of-options',
        'origin',
        '+refs/*:refs/remotes/origin/*',
      );
      await this.#git('update-ref', target, wanted);
    }
  }

  /** @returns the commit */
  async checkOut(): Promise<string> {
    const object = await this.#answer('rev-parse', '--verify', '-q', target);
    const commit = await this.#answer('rev-parse', '--verify', '-q', `${target}^{commit}`);
    const { checksum, remote } = this.#source;
    if (checksum !== undefined && !commit.startsWith(checksum) && !object.startsWith(checksum)) {
      throw new BuildError(
        'integrity',
        `${shown(remote)} does not have the commit that the checksum asks for`,
        {
          hint: `it is at ${commit}`,
          facts: { expected: checksum, found: commit },
        },
      );
    }
    await this.#git('checkout', '-q', '--force', '--detach', commit);
    if (this.#source.submodules !== false && existsSync(join(this.#root, '.gitmodules')))
      await this.#updateSubmodules();
    return commit;
  }

  async commitTime(commit: string): Promise<number> {
    return Number(await this.#answer('show', '-s', '--format=%ct', '--end-of-options', commit));
  }

  /** For whoever goes on working with the repository; credentials do not stay in it. */
  async nameOrigin(): Promise<void> {
    const { remote } = this.#source;
    await this.#git('config', 'remote.origin.url', remote.replace(/^(https?:\/\/)[^/@]*@/, '$1'));
    await this.#git('update-ref', '-d', target);
  }

  async removeGitDirs(): Promise<void> {
    await removeTree(join(this.#root, '.git'));
    if (existsSync(join(this.#root, '.gitmodules'))) await removeNested(this.#root);
  }

  /** Literal: a link that was committed is not followed. */
  directory(subdir: string | undefined): string {
    if (subdir === undefined) return this.#root;
    const entry = openDirectory(this.#root).lookup(bytePath(subdir));
    if (entry?.type === 'directory') return join(this.#root, subdir);
    const code = entry?.type === 'symlink' ? 'hostile' : 'not-found';
    throw new BuildError(code, `${printable(subdir)} is no directory in ${shown(this.#source.remote)}`);
  }

  async #wanted(): Promise<string> {
    const { ref, refKind, checksum, fetchByCommit } = this.#source;
    if (fetchByCommit && checksum !== undefined) return checksum;
    if (ref === undefined) return 'HEAD';
    if (isCommitId(ref)) return ref;
    const tag = `refs/tags/${ref}`;
    const branch = `refs/heads/${ref}`;
    const candidates = refKind === 'tag' ? [tag] : refKind === 'branch' ? [branch] : [ref, tag, branch];
    const listing = await this.#answer('ls-remote', '-q', '--end-of-options', 'origin', ...candidates);
    const advertised = new Set(
      listing.split('\n').map(line => /^[0-9a-f]{40,64}\t(\S+)$/.exec(line)?.[1] ?? ''),
    );
    const found = candidates.find(each => advertised.has(each) && isRefName(each));
    if (found !== undefined) return found;
    throw new BuildError(
      'not-found',
      `${shown(this.#source.remote)} has no branch or tag ${printable(ref)}`,
      {
        hint: 'a commit must be given with all its 40 digits',
      },
    );
  }

  async #updateSubmodules(): Promise<void> {
    const update = ['submodule', '-q', 'update', '--init', '--recursive', '--force'];
    try {
      await this.#git(...update, '--depth=1');
    } catch (error) {
      if ((error as BuildError).code !== 'network') throw error;
      await this.#git(...update);
    }
  }

  async #answer(...args: string[]): Promise<string> {
    return (await this.#git(...args)).trim();
  }

  async #git(...args: string[]): Promise<string> {
    const end = await askProgram(['git', ...args], {
      cwd: this.#root,
      env: this.#env,
      signal: this.#options.signal,
      limits: { timeMs: longestMs },
      ...(this.#options.watch ? { watch: this.#options.watch } : {}),
    });
    if (end.status === 0) return end.stdout.toString('utf8');
    throw gitFailure(args[0] ?? '', end.stderr.toString('utf8'), this.#source.remote);
  }
}

function environment(remote: string, options: GitOptions): Record<string, string> {
  const home = join(options.dir, 'home');
  mkdirSync(home, { mode: 0o700 });
  const config = Object.entries({ ...settings, 'remote.origin.url': remote, ...credential(remote, options) });
  return {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    ...Object.fromEntries(
      passed.flatMap(name => (options.env[name] === undefined ? [] : [[name, options.env[name]]])),
    ),
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'false',
    SSH_ASKPASS: 'false',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:git',
    GIT_LFS_SKIP_SMUDGE: '1',
    GIT_CONFIG_COUNT: String(config.length),
    ...Object.fromEntries(
      config.flatMap(([key, value], i) => [
        [`GIT_CONFIG_KEY_${i}`, key],
        [`GIT_CONFIG_VALUE_${i}`, value],
      ]),
    ),
  };
}

/** A header that git adds for addresses of this host alone. */
function credential(remote: string, { authorize }: GitOptions): Record<string, string> {
  if (!/^https?:/.test(remote) || !URL.canParse(remote)) return {};
  const url = new URL(remote);
  const header = url.username === '' ? authorize?.(url) : undefined;
  return header === undefined ? {} : { [`http.${url.origin}/.extraHeader`]: `Authorization: ${header}` };
}

/** What git said, without credentials. */
function gitFailure(command: string, stderr: string, remote: string): BuildError {
  const lines = stderr
    .split('\n')
    .map(line => printable(line.trim().replace(/\/\/[^/@\s]*@/g, '//')))
    .filter(line => line !== '');
  const said =
    lines.find(line => line.startsWith('fatal:')) ??
    lines.find(line => line.startsWith('error:')) ??
    lines.at(-1);
  const reason = said?.replace(/^\w+: /, '') ?? 'it did not say why';
  return new BuildError(failureKind(stderr), `git ${command} from ${shown(remote)} failed: ${reason}`, {
    output: lines.slice(-10),
  });
}

function failureKind(stderr: string): 'auth' | 'hostile' | 'network' {
  if (/transport '.*' not allowed/.test(stderr)) return 'hostile';
  return /authentication failed|could not read (?:username|password)|permission denied/i.test(stderr)
    ? 'auth'
    : 'network';
}

/** Without user and password. */
function shown(remote: string): string {
  return printable(remote.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1'));
}

/** Submodules have a file `.git`. */
async function removeNested(directory: string): Promise<void> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.name === '.git') await removeTree(path);
    else if (entry.isDirectory()) await removeNested(path);
  }
}
