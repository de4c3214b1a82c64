// How a step that a launcher ran has ended, for all rungs that use one.
import { constants } from 'node:os';
import { BuildError, errnoOf } from '../errors.ts';
import { commandError } from './commands.ts';
import type { Supervision } from './launcher/supervise.ts';
import type { SandboxRequest, SandboxResult } from './sandbox.ts';
import type { StepCgroup } from './step-cgroup.ts';

/** How a shell ends when what it ran was ended by SIGKILL. */
const KILLED = 128 + 9;

/** @param cgroup of the step, if it has one */
export function resultOf(supervision: Supervision, cgroup?: StepCgroup): SandboxResult {
  const result = endOf(supervision);
  if (cgroup === undefined || (result.kind === 'exited' && result.status === 0)) return result;
  const killed = result.kind === 'exited' ? result.status === KILLED : result.signal === 'SIGKILL';
  return cgroup.ranOutOfMemory(killed) ? { ...result, ranOutOfMemory: true } : result;
}

function endOf({ end, waitStatus }: Supervision): SandboxResult {
  if (waitStatus === undefined) {
    if (end.status !== undefined) return { kind: 'exited', status: end.status };
    return { kind: 'signalled', signal: end.signal ?? 'SIGKILL' };
  }
  const signal = waitStatus & 0x7f;
  if (signal === 0) return { kind: 'exited', status: (waitStatus >> 8) & 0xff };
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  return { kind: 'signalled', signal: name ?? `signal ${signal}` };
}

/** A place in the root is looked for literally after it was resolved, so it is not there only if somebody moved it. */
export function explainPlace(error: unknown): unknown {
  const gone = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST'].includes(errnoOf(error) ?? '');
  const wasLink = (error as NodeJS.ErrnoException).syscall === 'readlink';
  if (!gone && !wasLink) return error;
  return new BuildError(
    'run',
    'a directory that something is mounted in was changed by another step meanwhile',
    {
      hint: 'steps that share a cache mount must not move directories that others mount something in',
      cause: error,
    },
  );
}

/** A failed execve is about the command, anything else about the machine. */
export function explainStart(error: unknown, request: Pick<SandboxRequest, 'argv'>): unknown {
  if (!(error instanceof BuildError) || error.facts.call !== 'execve') return error;
  return commandError(request.argv[0] ?? '', String(error.facts.errno));
}
