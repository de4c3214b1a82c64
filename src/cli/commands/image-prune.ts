// slipway image prune: images that nobody named, or all.
import type { Command } from 'commander';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';

interface PruneFlags {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly filter: readonly string[];
}

export function defineImagePrune(parent: Command, session: Session): void {
  parent
    .command('prune')
    .description('remove images that have no name')
    .option('-a, --all', 'images with names too')
    .addOption(repeated('--filter <key=value>', 'until=time, label=name[=value], label!=name[=value]'))
    .option('-f, --force', 'do not ask')
    .action((flags: PruneFlags, command: Command) => prune(flags, session, command));
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
  const what = flags.all ? 'all images' : 'all dangling images';
  if (!flags.force && !(await confirm(`WARNING! This will remove ${what}.`, session))) {
    session.out('Total reclaimed space: 0B\n');
    return;
  }
  await using store = await openStoreFor(session, command);
  const { removals, freedBytes } = await pruneImages(store, { all: flags.all === true, ...filter });
  if (removals.length > 0) {
    const lines = removals.map(removal =>
      removal.kind === 'untagged' ? `untagged: ${removal.name}` : `deleted: ${removal.id}`,
    );
    session.out(`Deleted Images:\n${lines.join('\n')}\n\n`);
  }
  session.out(`Total reclaimed space: ${formatSize(freedBytes)}\n`);
}
