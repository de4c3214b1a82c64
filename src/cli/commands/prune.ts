// slipway prune: frees what builds can make or fetch again. Images with names stay, and so does what living builds use.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { PruneOptions, PruneReport, PruneType } from '../../store/prune.ts';
import { parseAge, parseBytes } from '../options/age.ts';
import type { Session } from '../session.ts';

interface PruneFlags {
  readonly all?: boolean;
  readonly filter: readonly string[];
  readonly keepStorage?: string;
  readonly minFreeSpace?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export function definePrune(program: Command, session: Session): void {
  program
    .command('prune')
    .description('remove cached steps, cache mounts and what nothing needs; images with names stay')
    .option('-a, --all', 'base images as well, and steps whose result is part of a named image')
    .option(
      '--filter <name=value>',
      'until=<age> (24h, 7d): unused for so long; type=step|log|mount|untagged|base|other; may be repeated',
      (value: string, earlier: readonly string[]) => [...earlier, value],
      [] as readonly string[],
    )
    .option('--keep-storage <size>', 'stop when the cache takes no more than this (10GB)')
    .option('--min-free-space <size>', 'stop when so much of the disk is free')
    .option('--dry-run', 'only say what would be removed')
    .option('-f, --force', 'do not ask')
    .action(async (flags: PruneFlags, command: Command) => {
      const options = optionsOf(flags);
      if (!flags.force && !options.dryRun && process.stdin.isTTY && !(await confirmed(session))) return;
      const [{ openStoreFor }, { prune }] = await Promise.all([
        import('../wire.ts'),
        import('../../store/prune.ts'),
      ]);
      await using store = await openStoreFor(session, command);
      session.out(await asText(await prune(store, options), options.dryRun));
    });
}

const types: readonly PruneType[] = ['step', 'log', 'mount', 'untagged', 'base', 'other'];

/** @throws BuildError `usage` */
function optionsOf(flags: PruneFlags): PruneOptions {
  const wanted = new Set<PruneType>();
  let unusedForMs: number | undefined;
  for (const filter of flags.filter) {
    const [, name = '', value = ''] = /^([a-z]+)=(.*)$/s.exec(filter) ?? [];
    const type = types.find(each => each === value);
    if (name === 'until') unusedForMs = parseAge(value, '--filter until=');
    else if (name === 'type' && type) wanted.add(type);
    else {
      throw new BuildError('usage', `--filter ${printable(filter)} is not known`, {
        hint: `until=<age>, or type= with one of ${types.join(', ')}`,
      });
    }
  }
  const byDefault = types.filter(type => type !== 'base' || flags.all);
  return {
    types: wanted.size > 0 ? wanted : new Set(byDefault),
    imageSteps: flags.all ?? false,
    dryRun: flags.dryRun ?? false,
    ...(unusedForMs === undefined ? {} : { unusedForMs }),
    ...(flags.keepStorage === undefined
      ? {}
      : { keepBytes: parseBytes(flags.keepStorage, '--keep-storage') }),
    ...(flags.minFreeSpace === undefined
      ? {}
      : { minFreeBytes: parseBytes(flags.minFreeSpace, '--min-free-space') }),
  };
}

async function confirmed(session: Session): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const question = 'This removes cached steps, cache mounts and what nothing needs. Continue? [y/N] ';
    return /^y(es)?$/i.test((await lines.question(question, { signal: session.signal })).trim());
  } finally {
    lines.close();
  }
}

async function asText({ items, freedBytes, spared }: PruneReport, dryRun: boolean): Promise<string> {
  const [{ table }, { formatSize }] = await Promise.all([import('../table.ts'), import('../format.ts')]);
  const rows = items.map(({ type, id, description }) => [
    type,
    id.replace(/^(?:sha256:)?([0-9a-f]{12})[0-9a-f]*/, '$1'),
    printable(description.replace(/\s+/g, ' ')).slice(0, 100),
  ]);
  const list = rows.length > 0 ? table([['TYPE', 'ID', 'DESCRIPTION'], ...rows]) : '';
  const kept = spared > 0 ? `In use, kept: ${spared}\n` : '';
  return `${list}${kept}${dryRun ? 'Would be freed' : 'Total'}: ${formatSize(freedBytes)}\n`;
}
