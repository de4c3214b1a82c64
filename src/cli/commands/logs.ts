// slipway logs: everything that steps of the last build wrote, also when they were cached. Nothing is left out.
import type { Command } from 'commander';
import type { BuiltStep } from '../../cache/history.ts';
import { openRecords } from '../../cache/records.ts';
import { loadBytes } from '../../cache/stored-bytes.ts';
import { BuildError, printable } from '../../errors.ts';
import type { Store } from '../../store/store.ts';
import type { Session } from '../session.ts';
import { nothingBuilt } from './cache.ts';

export function defineLogs(program: Command, session: Session): void {
  program
    .command('logs')
    .description('print what the steps of the last build wrote')
    .argument('[step]', 'number of a step as progress shows it (3, "build 2/5"), or a part of its text')
    .action(async (wanted: string | undefined, _flags: unknown, command: Command) => {
      const [{ openStoreFor }, { openHistory }] = await Promise.all([
        import('../wire.ts'),
        import('../../cache/history.ts'),
      ]);
      await using store = await openStoreFor(session, command);
      const built = openHistory(store.meta).last();
      if (!built) throw nothingBuilt();
      if (wanted !== undefined) {
        const bytes = await logOf(chosen(built.steps, wanted), store);
        if (bytes) await write(bytes);
        return;
      }
      for (const step of built.steps) {
        const bytes = await logOf(step, store);
        if (!bytes) continue;
        await write(Buffer.from(`==> ${printable(step.name)}\n`));
        await write(bytes.at(-1) === 10 ? bytes : Buffer.concat([bytes, Buffer.from('\n')]));
      }
    });
}

async function logOf(step: BuiltStep, store: Store): Promise<Buffer | undefined> {
  const log = step.log ?? (step.key && openRecords(store.meta).get(step.key)?.log);
  return log && loadBytes(store, log);
}

/** A log is bytes, and may be larger than what fits into a pipe at once. */
function write(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, error => (error ? reject(error) : resolve()));
  });
}

/** @throws BuildError `usage` unless exactly one step is meant */
function chosen(steps: readonly BuiltStep[], wanted: string): BuiltStep {
  const exact = steps.filter(step => isNumbered(step, wanted));
  const found = exact.length > 0 ? exact : steps.filter(step => step.name.includes(wanted));
  const [only] = found;
  if (only && found.length === 1) return only;
  const names = (found.length > 0 ? found : steps).map(step => printable(step.name));
  throw new BuildError(
    'usage',
    found.length === 0
      ? `the last build has no step "${printable(wanted)}"`
      : `"${printable(wanted)}" means ${found.length} steps of the last build`,
    { output: names },
  );
}

/** `2`, `2/5`, `build 2`, `build 2/5`, with or without brackets. */
function isNumbered({ name }: BuiltStep, wanted: string): boolean {
  const [, stage = '', number = '', total = ''] = /^\[(?:(\S+) )?(\d+)\/(\d+)\]/.exec(name) ?? [];
  const bare = wanted.replace(/^\[(.*)\]$/, '$1');
  return [number, `${number}/${total}`, `${stage} ${number}`, `${stage} ${number}/${total}`].includes(bare);
}
