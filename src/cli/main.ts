// Run, catch, report, exit status. The only place that ends the process.
import type { Command } from 'commander';
import { BuildError } from '../errors.ts';
import { rootlessOf } from '../host/ids.ts';
import { endWithParent } from '../host/parent.ts';
import { withOwnNames } from './docker-names.ts';
import { exitStatusOf } from './exit-status.ts';
import { withoutGoForms } from './go-flags.ts';
import { renderError } from './report-error.ts';
import { type Session, UsageShown } from './session.ts';

/** Runs the command line and ends the process with its status. */
export function main(argv: readonly string[]): void {
  const session = makeSession(withOwnNames(argv));
  let settled = false;
  // A pending promise does not keep Node alive: a stalled stream would otherwise end the process with status 0.
  process.on('beforeExit', () => {
    if (settled) return;
    process.stderr.write('error: internal error: the work stopped before it ended\n');
    process.exit(70);
  });
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever closes the pipe has read enough; anything else would be lost without a word.
    if (error.code !== 'EPIPE') {
      const cause = error.code === 'ENOSPC' ? 'no space left on the device' : error.message;
      process.stderr.write(`error: standard output cannot be written: ${cause}\n`);
    }
    process.exit(1);
  });
  run(session).then(async status => {
    settled = true;
    await flush();
    process.exit(status);
  });
}

async function run(session: Session): Promise<number> {
  try {
    endWithParent(session.env);
    // Scripts ask for the version often; it needs none of the rest.
    if (session.argv.length === 1 && ['--version', '-v'].includes(session.argv[0] ?? '')) {
      const { version } = await import('./version.ts');
      session.out(`slipway ${version}\n`);
      return 0;
    }
    const { makeProgram } = await import('./program.ts');
    const program = makeProgram(session);
    program.hook('preAction', async (_, command) => {
      if (!needsRoot(command, session)) return;
      const { enterRootless } = await import('./rootless.ts');
      await enterRootless(session);
    });
    await program.parseAsync(withoutGoForms(session.argv, program), { from: 'user' });
    return session.status;
  } catch (caught) {
    const error = firstOf(caught);
    if (error instanceof UsageShown) return error.status;
    const failure =
      session.signal.aborted && !(error instanceof BuildError && error.code === 'internal')
        ? new BuildError('interrupted', 'interrupted', { cause: error })
        : error;
    process.stderr.write(session.describeFailure(failure));
    return failure instanceof BuildError ? exitStatusOf(failure.code) : 1;
  }
}

/** Commands that handle unpacked files, whose owners an ordinary user cannot give or take. */
const handlesFiles: ReadonlySet<string> = new Set([
  ...['build', 'info', 'cache', 'du', 'image', 'prune', 'rmi', 'system'],
  ...['load-into', 'push', 'save'],
]);

function needsRoot(command: Command, session: Session): boolean {
  if (process.geteuid?.() === 0 || rootlessOf(session.env) !== undefined) return false;
  let top = command;
  while (top.parent?.parent) top = top.parent;
  return handlesFiles.has(top.name());
}

/** Of an error during clean-up after an error, the one that came first. */
function firstOf(error: unknown): unknown {
  const suppressed = (error as { suppressed?: unknown } | null)?.suppressed;
  return suppressed === undefined ? error : firstOf(suppressed);
}

function makeSession(argv: readonly string[]): Session {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The second one does not wait for anything.
      if (stop.signal.aborted) process.exit(130);
      stop.abort(signal);
    });
  }
  const debug = argv.includes('--debug') || argv.includes('-D');
  return {
    argv,
    env: process.env,
    cwd: process.cwd(),
    debug,
    signal: stop.signal,
    status: 0,
    out: text => process.stdout.write(text),
    err: text => process.stderr.write(text),
    describeFailure: error => renderError(error, debug),
  };
}

function flush(): Promise<void> {
  return new Promise(resolve => process.stdout.write('', () => process.stderr.write('', () => resolve())));
}
