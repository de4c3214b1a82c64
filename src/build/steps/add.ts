// What ADD can do and COPY cannot (https://docs.docker.com/reference/dockerfile/#add): files from URLs, git references,
// archives that are unpacked.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { authorizeGit, authorizeHttp, type Secrets } from '../../context/authorize.ts';
import { readContent } from '../../context/content.ts';
import { openDirectory } from '../../context/dir.ts';
import { type Downloaded, safeName } from '../../context/download.ts';
import { fetchGit, type GitCheckout } from '../../context/git.ts';
import { type GitSource, parseGitUrl } from '../../context/git-url.ts';
import type { ContextHelpers } from '../../context/open.ts';
import { recognizeArchive, spoolTar } from '../../context/spool-tar.ts';
import { BuildError, printable, withoutPasswords } from '../../errors.ts';
import { openAgentProxy, type SshSource } from '../../host/ssh-agent.ts';
import { makePrivateDir, removeTree, temporaryName } from '../../host/temp.ts';
import { digestOf, isDigest } from '../../image/digest.ts';
import type { CopyItem, CopyStep } from '../../plan/steps.ts';
import type { Meta } from '../../store/store.ts';
import { type BytePath, bytePath, type ContentSource } from '../../tree/entry.ts';
import {
  type FetchedItems,
  type FileSource,
  type Selection,
  type Source,
  type TreeSource,
  wholeTree,
} from './copy-selection.ts';

/** What fetching needs of a build. What is fetched stays in `tmp`, which the store empties when it is closed. */
export interface FetchScope {
  readonly tools: {
    readonly contextHelpers: ContextHelpers;
    /** Without `meta` nothing is remembered of downloads. */
    readonly store: { readonly tmp: string; readonly meta?: Pick<Meta, 'get' | 'set' | 'delete'> };
  };
  /** What the user lends to this build. Default nothing. */
  readonly request?: {
    readonly secrets: Secrets;
    readonly ssh: ReadonlyMap<string, SshSource>;
  };
  readonly signal: AbortSignal;
}

/**
 * Fetches the URL and git items of an ADD.
 * @throws BuildError `network`, `not-found`, `auth`; `integrity` when --checksum does not match
 */
export async function fetchItems(step: CopyStep, scope: FetchScope): Promise<FetchedItems> {
  const found: [CopyItem, FileSource | TreeSource][] = [];
  for (const item of step.items) {
    if (item.kind === 'url') found.push([item, await fetchUrl(item, step, scope)]);
    else if (item.kind === 'git') found.push([item, await fetchRepository(item, step, scope)]);
  }
  return new Map(found);
}

/** What of an ADD counts for fetching. */
export type FetchFlags = Pick<CopyStep, 'checksum' | 'keepGitDir'>;
export type UrlItem = Extract<CopyItem, { readonly kind: 'url' }>;
export type GitItem = Extract<CopyItem, { readonly kind: 'git' }>;

async function fetchUrl(item: UrlItem, step: FetchFlags, scope: FetchScope): Promise<FileSource> {
  const remembered = recall(item, step, scope);
  const got = await downloadItem(item, step, scope, remembered === undefined ? {} : { remembered });
  remember(item, got, scope);
  return {
    kind: 'file',
    name: bytePath(nameOfUrl(item.url) ?? got.name ?? '__unnamed__'),
    mode: 0o600,
    // Without a Last-Modified the beginning of time, as BuildKit has it: the same bytes stay the same file.
    mtimeSec: got.lastModifiedSec ?? 0,
    size: got.size,
    content: got.content,
    digest: got.digest,
    remote: true,
    ...(got.isUnchanged ? { bring: () => bring(item, step, scope, got) } : {}),
  };
}

type Got = Downloaded & { readonly content: ContentSource };

/** What a server said was unchanged, after all: nothing here has it. */
async function bring(item: UrlItem, step: FetchFlags, scope: FetchScope, got: Got): Promise<void> {
  const { file } = got.content as Extract<ContentSource, { kind: 'range' }>;
  const now = await downloadItem(item, step, scope, { to: file });
  if (now.digest === got.digest) return;
  // Of a server that gives other bytes each time nothing can be remembered: the next build downloads them.
  scope.tools.store.meta?.delete('downloads', keyOf(item));
  throw new BuildError('network', `${shown(item)} has changed while it was being added`, {
    range: item.range,
    hint: 'build again',
    facts: { expected: got.digest, found: now.digest },
  });
}

const shown = ({ url }: { readonly url: string }) => printable(withoutPasswords(url));

/** The URL itself may hold a password. */
const keyOf = (item: UrlItem) => digestOf(item.url);

/** What the URL gave last, unless the bytes themselves are asked for. */
function recall(item: UrlItem, step: FetchFlags, { tools }: FetchScope): Downloaded | undefined {
  if (step.checksum !== undefined && !step.checksum.startsWith('sha256:')) return undefined;
  const value = tools.store.meta?.get('downloads', keyOf(item)) as Downloaded | undefined;
  return value?.validator !== undefined && isDigest(value.digest) && Number.isSafeInteger(value.size)
    ? value
    : undefined;
}

function remember(item: UrlItem, { content: _, isUnchanged, ...got }: Got, { tools }: FetchScope): void {
  if (isUnchanged) return;
  if (got.validator === undefined) tools.store.meta?.delete('downloads', keyOf(item));
  else tools.store.meta?.set('downloads', keyOf(item), got);
}

interface DownloadOptions {
  /** The file to write. Default: a new one. */
  readonly to?: string;
  /** As DownloadRequest has it. */
  readonly remembered?: Downloaded;
}

/** @throws BuildError `integrity` when --checksum does not match, and what a download can come to */
export async function downloadItem(
  item: UrlItem,
  step: FetchFlags,
  scope: FetchScope,
  { to = join(scope.tools.store.tmp, temporaryName('add-')), remembered }: DownloadOptions = {},
): Promise<Got> {
  const { download } = scope.tools.contextHelpers;
  if (!download) throw new BuildError('unsupported', `${shown(item)} cannot be downloaded here`);
  const authorize = authorizeHttp(scope.request?.secrets ?? new Map());
  const got = await download({
    ...{ url: item.url, to, signal: scope.signal, authorize },
    ...(remembered === undefined ? {} : { remembered }),
  });
  const content: ContentSource = { kind: 'range', file: to, offset: 0, size: got.size };
  if (step.checksum !== undefined) {
    const found = await checksumLike(step.checksum, content, got.digest);
    if (found !== step.checksum) {
      await removeTree(to);
      throw mismatch(item, step.checksum, found);
    }
  }
  return { ...got, content };
}

/** The checksum of a content with the algorithm that `wanted` names. */
async function checksumLike(wanted: string, content: ContentSource, sha256: string): Promise<string> {
  const algorithm = /^(sha256|sha384|sha512):/.exec(wanted)?.[1];
  if (algorithm === undefined) {
    throw new BuildError('dockerfile', `--checksum=${printable(wanted)} is no checksum`, {
      hint: 'write sha256: (or sha384:, sha512:) and hexadecimal digits',
    });
  }
  if (algorithm === 'sha256') return sha256;
  const hash = createHash(algorithm);
  for await (const chunk of readContent(content)) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

function mismatch(item: UrlItem, expected: string, found: string): BuildError {
  return new BuildError('integrity', `${shown(item)} does not have the checksum that --checksum asks for`, {
    range: item.range,
    hint: `what was downloaded is ${found}`,
    facts: { expected, found },
  });
}

/** The last component of the path, whatever the server calls the file: what Docker takes. */
function nameOfUrl(url: string): string | undefined {
  const { pathname } = new URL(url);
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // No percent-encoding after all.
  }
  return safeName(path.split('/').findLast(part => part !== '') ?? '');
}

async function fetchRepository(item: GitItem, step: CopyStep, scope: FetchScope): Promise<TreeSource> {
  const checkout = await checkOutItem(item, step, scope);
  const { hashContents } = scope.tools.contextHelpers;
  const tree = openDirectory(checkout.root, {
    description: shown(item),
    ...checkout.look,
    ...(hashContents ? { hashContents } : {}),
  });
  return wholeTree(tree, '' as BytePath, '', step.excludes);
}

/** @throws BuildError `integrity` when --checksum is not the commit, and what fetching can come to */
export async function checkOutItem(item: GitItem, step: FetchFlags, scope: FetchScope): Promise<GitCheckout> {
  const source = gitSource(item, step);
  const dir = join(scope.tools.store.tmp, temporaryName('git-'));
  makePrivateDir(dir);
  const { gitEnv = {}, watchProgram } = scope.tools.contextHelpers;
  const keepGitDir = step.keepGitDir || (source.keepGitDir ?? false);
  // A Dockerfile reaches the user's keys only when --ssh lends them.
  const agent = await agentOf(scope.request?.ssh.get('default'));
  try {
    return await fetchGit(source, {
      dir,
      env: { ...gitEnv, SSH_AUTH_SOCK: agent?.path },
      ...(watchProgram ? { watch: watchProgram } : {}),
      keepGitDir,
      authorize: authorizeGit(scope.request?.secrets ?? new Map()),
      signal: scope.signal,
    });
  } finally {
    await agent?.close?.();
  }
}

/** A socket that git can ask for signatures. */
async function agentOf(
  source: SshSource | undefined,
): Promise<{ path: string; close?(): Promise<void> } | undefined> {
  if (source === undefined) return undefined;
  if ('socket' in source) return { path: source.socket };
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  return openAgentProxy({ agent: source, mode: 0o600, uid, gid });
}

function gitSource(item: GitItem, step: FetchFlags): GitSource {
  const source = parseGitUrl(item.url);
  if (source === undefined) throw new BuildError('dockerfile', `${shown(item)} is no git repository`);
  const { checksum } = step;
  if (checksum === undefined || checksum === source.checksum) return source;
  if (source.checksum === undefined && /^[0-9a-f]{7,64}$/.test(checksum)) return { ...source, checksum };
  throw new BuildError(
    'dockerfile',
    `--checksum=${printable(checksum)} is not the commit of ${shown(item)}`,
    {
      range: item.range,
      hint: 'for git the checksum is a commit, given once',
    },
  );
}

/**
 * Replaces the sources that are archives by what is in them, for an ADD that unpacks. What is no archive, whatever its
 * name, stays a file.
 * @throws BuildError `integrity` or `hostile` for a damaged or hostile archive
 */
export async function unpackArchives(
  selection: Selection,
  step: CopyStep,
  scope: FetchScope,
): Promise<Selection> {
  if (step.instruction !== 'ADD' || step.unpack === 'never') return selection;
  const sources: Source[] = [];
  for (const source of selection.sources) sources.push(await unpacked(source, step, scope));
  return { ...selection, sources };
}

async function unpacked(source: Source, step: CopyStep, scope: FetchScope): Promise<Source> {
  const content = packedContent(source, step);
  if (content === undefined) return source;
  const archive = await recognizeArchive(readContent(content));
  if (archive === undefined) return source;
  const to = join(scope.tools.store.tmp, temporaryName('unpack-'));
  const inputs = await spoolTar(archive.tar, to, scope.signal);
  return { kind: 'archive', name: source.name, inputs };
}

/** The bytes of a source that is one file and may be unpacked. */
function packedContent(source: Source, step: CopyStep): ContentSource | undefined {
  if (source.kind === 'file') return source.remote && step.unpack === 'always' ? source.content : undefined;
  if (source.kind === 'archive' || step.parents) return undefined;
  const { root, tree } = source;
  return root.type === 'file' || root.type === 'hardlink' ? tree.content(root) : undefined;
}
