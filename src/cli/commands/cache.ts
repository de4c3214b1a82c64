// slipway cache why: what became of each step of the last build, and why those that were executed had to be; slipway
// cache mounts has a file of its own.
import type { Command } from 'commander';
import type { BuiltProject, BuiltStep } from '../../cache/history.ts';
import { BuildError, printable } from '../../errors.ts';
import type { Session } from '../session.ts';
import { defineCacheMounts } from './cache-mounts.ts';

interface WhyFlags {
  readonly json?: boolean;
}

export function defineCache(program: Command, session: Session): void {
  const cache = program.command('cache').description('look into the build cache');
  cache
    .command('why')
    .description('say why the steps of the last build were executed or not')
    .option('--json', 'as JSON')
    .action(async (flags: WhyFlags, command: Command) => {
      const [{ openStoreFor }, { openHistory }] = await Promise.all([
        import('../wire.ts'),
        import('../../cache/history.ts'),
      ]);
      await using store = await openStoreFor(session, command);
      const built = openHistory(store.meta).last();
      if (!built) throw nothingBuilt();
      session.out(flags.json ? `${JSON.stringify(asJson(built), null, 2)}\n` : asText(built));
    });
  defineCacheMounts(cache, session);
}

export function nothingBuilt(): BuildError {
  return new BuildError('not-found', 'nothing has been built with this store yet', {
    hint: 'run slipway build, or name another store with --root',
  });
}

function asJson({ context, at, outcome, durationMs, steps }: BuiltProject): unknown {
  return {
    context,
    at,
    outcome,
    durationMs,
    steps: steps.map(({ name, stage, display, outcome: became, durationMs: took, key, reason }) => ({
      name,
      stage,
      display,
      outcome: became,
      durationMs: took,
      ...(key === undefined ? {} : { key }),
      ...(reason === undefined ? {} : { reason }),
    })),
  };
}

function asText(built: BuiltProject): string {
  const head = `${printable(built.context)}, built ${built.at}: ${built.outcome}\n`;
  return head + built.steps.map(step => `${printable(step.name)}\n    ${became(step)}\n`).join('');
}

function became(step: BuiltStep): string {
  const seconds = `${(step.durationMs / 1000).toFixed(1)}s`;
  switch (step.outcome) {
    case 'cached':
      return 'cached';
    case 'done':
      return `executed in ${seconds}: ${step.reason ?? 'no earlier record'}`;
    case 'failed':
      return `failed after ${seconds}`;
    case 'cancelled':
      return `stopped after ${seconds}`;
  }
}
