// A process that does nothing but keep a namespace in being until others have joined it: node itself cannot enter a
// namespace (it has threads), but it can name the process that did.
import { type ChildProcess, spawn } from 'node:child_process';
import { BuildError } from '../../errors.ts';
import { call, type LauncherStep, makeLauncher, openExecutable } from './launcher.ts';

export interface Holder {
  readonly pid: number;
  [Symbol.dispose](): void;
}

/**
 * Starts a process that works through `steps` and then waits until it is disposed of, or slipway ends.
 * @throws BuildError `sandbox` when a step fails
 */
export async function startHolder(steps: readonly LauncherStep[]): Promise<Holder> {
  const helper = makeLauncher(
    [...steps, call('write', 1, '.', 1), call('read', 0, Buffer.alloc(8), 1), call('exit_group', 0)],
    2,
  );
  using file = openExecutable(helper.file);
  const child = spawn(file.path, [], { stdio: ['pipe', 'pipe', 'pipe'], env: {} });
  const stop = () => void child.kill('SIGKILL');
  try {
    await untilReady(child, helper.explain);
    return { pid: child.pid ?? 0, [Symbol.dispose]: stop };
  } catch (error) {
    stop();
    throw error;
  }
}

function untilReady(child: ChildProcess, explain: (report: Buffer) => BuildError | undefined): Promise<void> {
  const said: Buffer[] = [];
  child.stderr?.on('data', (chunk: Buffer) => said.push(chunk));
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('close', () =>
      reject(
        explain(Buffer.concat(said)) ?? new BuildError('sandbox', 'the namespace ended before it began'),
      ),
    );
  });
}
