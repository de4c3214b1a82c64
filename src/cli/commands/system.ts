// slipway system df and prune: the room that the local store takes, and getting it back, in docker's words; verify: whether
// everything in it is still what it was.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { ImageUsage, UsageRow } from '../../images/disk-usage.ts';
import type { PruneReport } from '../../store/prune.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';
import type { OpenedStore } from '../wire.ts';

interface DfFlags {
  readonly verbose?: boolean;
  readonly format?: string;
}

interface PruneFlags {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly volumes?: boolean;
  readonly filter: readonly string[];
}

interface VerifyFlags {
  readonly repair?: boolean;
}

export function defineSystem(program: Command, session: Session): void {
  const group = program.command('system').description('commands about the local store');
  group
    .command('df')
    .description('show how much room images and the build cache take')
    .option('-v, --verbose', 'show each image; slipway du shows each step of the cache')
    .option('--format <format>', 'table, "table TEMPLATE", json or a Go template for each row')
    .action((flags: DfFlags, command: Command) => showUsage(flags, session, command));
  group
    .command('prune')
    .description('remove images without a name and the build cache')
    .option('-a, --all', 'images with names and fetched base images too')
    .addOption(
      repeated(
        '--filter <key=value>',
        'until=time, and for images alone, which leaves the cache: label=name[=value], label!=name[=value]',
      ),
    )
    .option('-f, --force', 'do not ask')
    .option('--volumes', 'volumes too, as with docker: slipway has none, and says so')
    .action((flags: PruneFlags, command: Command) => prune(flags, session, command));
  group
    .command('verify')
    .description('read everything in the local store and compare it with its digests and checksums')
    .option('--repair', 'remove what is damaged: it is made or fetched again when it is needed')
    .action((flags: VerifyFlags, command: Command) => verify(flags, session, command));
}

async function verify(flags: VerifyFlags, session: Session, command: Command): Promise<void> {
  const [{ openStoreFor }, { verifyStore }, { formatSize }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/verify.ts'),
    import('../format.ts'),
  ]);
  await using store = await openStoreFor(session, command);
  const repair = flags.repair === true;
  const { blobs, bytes, trees, images, damage } = await verifyStore(store, {
    repair,
    signal: session.signal,
  });
  for (const { kind, id, problem } of damage) {
    const done = repair && kind !== 'image' ? ': removed' : '';
    session.out(`${kind} ${printable(id)} ${printable(problem)}${done}\n`);
  }
  const left = repair ? damage.filter(({ kind }) => kind === 'image') : damage;
  if (left.length > 0) {
    const are = left.length === 1 ? 'is' : 'are';
    throw new BuildError('store', `${count(left.length, 'part')} of the store ${are} damaged`, {
      hint: repair
        ? 'pull or build these images again, or remove their names'
        : 'slipway system verify --repair removes what is damaged; it is made or fetched again when it is needed',
    });
  }
  session.out(
    `${count(blobs, 'blob')} (${formatSize(bytes)}), ${count(trees, 'unpacked layer')}, ${count(images, 'image')}: ` +
      `${damage.length === 0 ? 'all as they should be' : 'repaired'}\n`,
  );
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

const heads = {
  Type: 'TYPE',
  TotalCount: 'TOTAL',
  Active: 'ACTIVE',
  Size: 'SIZE',
  Reclaimable: 'RECLAIMABLE',
};

async function showUsage(flags: DfFlags, session: Session, command: Command): Promise<void> {
  const [{ openImageTools }, { diskUsage, imageUsage }, { renderListing }, { formatSize }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/disk-usage.ts'),
      import('../listing.ts'),
      import('../format.ts'),
    ]);
  await using wired = await openImageTools(session, command);
  if (flags.verbose) {
    const rows = await Promise.all((await imageUsage(wired.images)).map(usageOfImage));
    const columns = ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size', 'SharedSize', 'UniqueSize'];
    const text = renderListing({ heads: imageHeads, columns, rows }, flags.format);
    session.out(flags.format ? text : `Images space usage:\n\n${text}`);
    return;
  }
  const rows = (await diskUsage(wired.images)).map(
    ({ type, total, active, bytes, reclaimable }: UsageRow) => {
      const percent = type === 'Images' && bytes > 0 ? ` (${Math.floor((reclaimable * 100) / bytes)}%)` : '';
      return {
        Type: type,
        TotalCount: String(total),
        Active: String(active),
        Size: formatSize(bytes, 4),
        Reclaimable: `${formatSize(reclaimable, 4)}${percent}`,
      };
    },
  );
  const columns = ['Type', 'TotalCount', 'Active', 'Size', 'Reclaimable'];
  session.out(renderListing({ heads, columns, rows }, flags.format));
}

const imageHeads = {
  Repository: 'REPOSITORY',
  Tag: 'TAG',
  ID: 'IMAGE ID',
  CreatedSince: 'CREATED',
  Size: 'SIZE',
  SharedSize: 'SHARED SIZE',
  UniqueSize: 'UNIQUE SIZE',
};

async function usageOfImage({ image, size, shared, unique }: ImageUsage): Promise<Record<string, string>> {
  const [{ ago, formatSize }, { familiarName, parseReference }, { shortId }] = await Promise.all([
    import('../format.ts'),
    import('../../image/reference.ts'),
    import('../../image/digest.ts'),
  ]);
  const [first] = image.names;
  const reference = first ? parseReference(first.name) : undefined;
  const { created } = image.config;
  return {
    Repository: reference ? familiarName(reference) : '<none>',
    Tag: reference?.tag ?? '<none>',
    ID: shortId(image.id),
    CreatedSince: created ? ago(created, Date.now()) : 'N/A',
    Size: formatSize(size),
    SharedSize: formatSize(shared, 4),
    UniqueSize: formatSize(unique, 4),
  };
}

async function prune(flags: PruneFlags, session: Session, command: Command): Promise<void> {
  const [{ openStoreFor }, { pruneImages }, { parsePruneFilter }, { formatSize }, { confirm }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/prune.ts'),
      import('../../images/filter.ts'),
      import('../format.ts'),
      import('../confirm.ts'),
    ]);
  const filter = parsePruneFilter(flags.filter, Date.now());
  if (flags.volumes) session.err('slipway keeps no volumes: there are none to remove\n');
  const images = flags.all ? 'all images' : 'all dangling images';
  if (!flags.force && !(await confirm(`WARNING! This will remove ${images} and the build cache.`, session))) {
    session.out('Total reclaimed space: 0B\n');
    return;
  }
  await using store = await openStoreFor(session, command);
  const cache = filter.labels.length > 0 ? undefined : await pruneCache(store, flags, filter.createdBeforeMs);
  const { removals, freedBytes } = await pruneImages(store, { all: flags.all === true, ...filter });
  const lines = removals.map(removal =>
    removal.kind === 'untagged' ? `untagged: ${removal.name}` : `deleted: ${removal.id}`,
  );
  if (lines.length > 0) session.out(`Deleted Images:\n${lines.join('\n')}\n\n`);
  const items = cache?.items ?? [];
  if (items.length > 0)
    session.out(`Deleted build cache objects:\n${items.map(item => item.id).join('\n')}\n\n`);
  session.out(`Total reclaimed space: ${formatSize(freedBytes + (cache?.freedBytes ?? 0))}\n`);
}

async function pruneCache(
  store: OpenedStore,
  flags: PruneFlags,
  beforeMs: number | undefined,
): Promise<PruneReport> {
  const { prune: pruneStore } = await import('../../store/prune.ts');
  return pruneStore(store, {
    types: new Set(['step', 'log', 'mount', 'other', ...(flags.all ? (['base'] as const) : [])]),
    imageSteps: flags.all === true,
    dryRun: false,
    patient: false,
    ...(beforeMs === undefined ? {} : { unusedForMs: Math.max(0, Date.now() - beforeMs) }),
  });
}
