// What opening a context takes and gives; open.ts does it.
import type { SourceFile } from '../errors.ts';
import type { WatchProgram } from '../host/process.ts';
import type { FileTree } from '../tree/file-tree.ts';
import type { StatIndex } from '../tree/stat-index.ts';
import type { Secrets } from './authorize.ts';
import type { HashContents } from './dir.ts';
import type { Download } from './download.ts';
import type { IgnoreRules } from './ignore.ts';

/** What the machine lends; everything is optional and missed only when a context needs it. */
export interface ContextHelpers {
  /** The program's standard input. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Contents remembered from earlier builds; `scope` names the context. */
  readonly statIndex?: (scope: string) => StatIndex;
  /** For http contexts and Dockerfiles. */
  readonly download?: Download;
  /** Default: in this thread. */
  readonly hashContents?: HashContents;
  /** Environment of git: proxies, SSH_AUTH_SOCK. Default: none of them. */
  readonly gitEnv?: Readonly<Record<string, string | undefined>>;
  /** Ends git when slipway is killed. Default: git goes on until it has fetched what it was to fetch. */
  readonly watchProgram?: WatchProgram;
}

export interface ContextOptions extends ContextHelpers {
  /** Absolute; relative paths start here. */
  readonly cwd: string;
  /** `-f`: a path relative to `cwd` (to the context when that is remote), a URL, or `-`. Absent: looked for in the context. */
  readonly file?: string;
  /** none: the context is only copied from. Default find. */
  readonly dockerfile?: 'find' | 'none';
  /** Name of a named context, for messages. */
  readonly name?: string;
  /** Directory for what has to be unpacked or fetched. */
  readonly tmp: string;
  /** Whether an ignore file in an archive, git or http context counts (docker build does not look at it). Default true. */
  readonly ignoreInRemote?: boolean;
  /** Keeps `.git` of a git context. Default: what its URL says. */
  readonly keepGitDir?: boolean;
  /** Where credentials for remote contexts are (authorize.ts). Default none. */
  readonly secrets?: Secrets;
  readonly signal: AbortSignal;
}

export interface OpenedContext {
  readonly tree: FileTree;
  /** Empty when none was asked for. */
  readonly dockerfile: SourceFile;
  /** In force for the tree; its `file.name` is shown in messages. */
  readonly ignore: IgnoreRules;
  /** As in `Fetched`. */
  readonly dateSec?: number;
  /** Removes temporary files and keeps what was learned about unchanged ones. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A context whose files are here, before its Dockerfile and ignore file are looked for. */
export interface Fetched {
  readonly tree: FileTree;
  /** For messages. */
  readonly where: string;
  /** The whole context is this one file. */
  readonly dockerfile?: SourceFile;
  /**
   * When it was made, in seconds since 1970: the time of a commit, what a server says, or else the newest file of an
   * archive. Absent for a directory, whose times are those of a checkout.
   */
  readonly dateSec?: number;
}
