// What a step has left behind is found and killed by slipway (strays.ts), unless slipway itself is killed first. For that
// case a process waits beside each step that no pid namespace holds, until the other end of its stdin is closed:
//
//   slipway --- watchdog: read(stdin)
//                 |-- slipway is done with the step: kills it
//                 '-- slipway is gone: becomes node with clear-up.ts, which kills what bears the mark
//
// It is a launcher, so that it starts in a millisecond or two and takes a few pages of memory while it waits. It has a
// session of its own, which no ctrl-C reaches, and none of slipway's descriptors: who reads what slipway writes sees its end.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BuildError } from '../errors.ts';
import { limit } from './launcher/isolate.ts';
import {
  call,
  hasLauncher,
  type LauncherStep,
  makeLauncher,
  named,
  openExecutable,
} from './launcher/launcher.ts';
import { closeAbove } from './launcher/supervise.ts';
import type { StrayMark } from './strays.ts';

const RLIMIT_MSGQUEUE = 12;
const RLIMIT_SIGPENDING = 11;
const SIGKILL = 9;
const STDERR = 2;

/** Beside this file, as source, as compiled test and as bundle. */
const clearUp = fileURLToPath(
  new URL(`./clear-up${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/** What is to be done about a step once slipway is gone. Plain data. */
export interface Estate {
  /** What bears it is killed. */
  readonly mark: StrayMark;
  /** Files and directories to remove then. */
  readonly paths: readonly string[];
}

/** Steps that mark a process and all that it will start. */
export function markSteps([first, second]: StrayMark): readonly LauncherStep[] {
  return [
    named('mark the process', call('prlimit64', 0, RLIMIT_MSGQUEUE, limit(first), 0)),
    named('mark the process', call('prlimit64', 0, RLIMIT_SIGPENDING, limit(second), 0)),
  ];
}

/**
 * Sees to a step's estate should slipway be killed before this is disposed of.
 * @throws BuildError `sandbox` when that cannot be
 */
export function watchStep(estate: Estate): AsyncDisposable {
  const { execPath } = process;
  return startWatchdog([
    named(execPath, call('execve', execPath, [execPath, clearUp, JSON.stringify(estate)], [])),
  ]);
}

/**
 * Kills a process group should slipway be killed before this is disposed of; on an architecture without launchers it
 * goes on.
 * @throws BuildError `sandbox` when that cannot be
 */
export function watchGroup(group: number): AsyncDisposable {
  if (!hasLauncher()) return { [Symbol.asyncDispose]: async () => {} };
  return startWatchdog([call('kill', -group, SIGKILL), call('exit_group', 0)]);
}

/** @param steps what it does when slipway is gone */
function startWatchdog(steps: readonly LauncherStep[]): AsyncDisposable {
  const { file } = makeLauncher(
    [
      ...closeAbove(STDERR),
      call('chdir', '/'),
      // Slipway may itself run in a step of another one, which is not to kill this process with it.
      call('prlimit64', 0, RLIMIT_SIGPENDING, limit(0), 0),
      { kind: 'call', call: 'read', args: [0, Buffer.alloc(8), 1], expect: 0 },
      ...steps,
    ],
    STDERR,
  );
  using program = openExecutable(file);
  const child = spawn(program.path, { stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve());
    child.once('error', () => {}); // there is no process then
  });
  if (child.pid === undefined) {
    throw new BuildError('sandbox', 'the process that watches over another one cannot be started');
  }
  child.stdin?.on('error', () => {});
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
