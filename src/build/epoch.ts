// SOURCE_DATE_EPOCH when it is a name: the date of what it names, found before anything is planned.
import { readContent } from '../context/content.ts';
import type { OpenedContext } from '../context/open.ts';
import { newestFileSec, recognizeArchive, spoolTar } from '../context/spool-tar.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import type { Diagnostic } from '../errors.ts';
import { makeTempDir } from '../host/temp.ts';
import { globalScope } from '../plan/args.ts';
import { type EpochSource, epochSource, type RemoteFlags, type RemoteItem } from '../plan/epoch.ts';
import type { PlanOptions } from '../plan/options.ts';
import { missingOffline } from './offline.ts';
import type { BuildRequest } from './request.ts';
import { checkOutItem, downloadItem, type FetchScope } from './steps/add.ts';
import type { Tools } from './tools.ts';

/** What a name is looked up in. */
export interface EpochScope {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly context: OpenedContext;
  /** Named contexts that are files. */
  readonly named: ReadonlyMap<string, OpenedContext>;
  readonly request: BuildRequest;
  readonly tools: Tools;
}

/** What SOURCE_DATE_EPOCH comes to: build args with a number, or none at all where the name has no date. */
export type ResolvedEpoch = Pick<PlanOptions, 'buildArgs' | 'undated'>;

/** @throws BuildError when the name is none, and what fetching can come to */
export async function resolveEpoch(scope: EpochScope): Promise<ResolvedEpoch> {
  const { dockerfile, options, tools } = scope;
  const { buildArgs } = options;
  const source = epochSource(dockerfile, globalScope(dockerfile, options), options);
  const seconds = source && (await dateOf(source, scope));
  if (seconds !== undefined)
    return { buildArgs: new Map([...buildArgs, ['SOURCE_DATE_EPOCH', String(seconds)]]) };
  if (source && source.kind !== 'seconds')
    tools.emit({ kind: 'warning', diagnostic: withoutDate(source), atMs: tools.now() });
  const others = [...buildArgs].filter(([name]) => name !== 'SOURCE_DATE_EPOCH');
  // An empty build arg takes the default of an ARG away, too.
  return source || others.length < buildArgs.size
    ? { buildArgs: new Map(others), undated: true }
    : { buildArgs };
}

function dateOf(source: EpochSource, scope: EpochScope): number | undefined | Promise<number | undefined> {
  switch (source.kind) {
    case 'seconds':
      return source.seconds;
    case 'context':
      return (source.name === undefined ? scope.context : scope.named.get(source.name))?.dateSec;
    case 'image':
      return undefined;
    case 'add':
      return dateOfItem(source.item, source.flags, scope);
  }
}

/** The time of the commit; what the server says, or else the newest file of an archive. */
async function dateOfItem(
  item: RemoteItem,
  flags: RemoteFlags,
  { request, tools }: EpochScope,
): Promise<number | undefined> {
  if (request.offline) throw missingOffline([item.url]);
  await using dir = await makeTempDir(tools.store.tmp, 'epoch-');
  const { contextHelpers, signal } = tools;
  const fetch: FetchScope = { tools: { contextHelpers, store: { tmp: dir.path } }, request, signal };
  if (item.kind === 'git') return (await checkOutItem(item, flags, fetch)).commitSec;
  const got = await downloadItem(item, flags, fetch);
  if (got.lastModifiedSec !== undefined) return got.lastModifiedSec;
  const archive = await recognizeArchive(readContent(got.content));
  return archive && newestFileSec(await spoolTar(archive.tar, `${dir.path}/unpacked`, signal));
}

function withoutDate(source: Exclude<EpochSource, { readonly kind: 'seconds' }>): Diagnostic {
  const what =
    source.kind === 'add'
      ? 'what its stage adds'
      : source.kind === 'image'
        ? 'an image'
        : source.name === undefined
          ? 'the build context'
          : `the context "${source.name}"`;
  return {
    severity: 'warning',
    rule: 'no-effect',
    message: `SOURCE_DATE_EPOCH has no effect: ${what} has no date of its own`,
    hint: 'give seconds since 1970, for example those of the last commit: $(git log -1 --pretty=%ct)',
  };
}
