// How a step is tied to slipway: whatever ends slipway ends the step. The launcher asks the kernel to be killed when
// slipway's main thread ends; its child is the first process of a pid namespace and is killed when the launcher ends; and
// the kernel ends everything in a pid namespace with its first process.
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFlags } from '../../host/fs-calls.ts';
import { readOr } from '../../host/probe.ts';
import { type ProgramEnd, runProgram } from '../../host/process.ts';
import {
  attempt,
  call,
  type LauncherStep,
  launchFailed,
  makeLauncher,
  named,
  openExecutable,
} from './launcher.ts';

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const AT_FDCWD = -100;
/** Where the launcher writes what went wrong. */
export const reportFd = 3;

/** Killed when the parent ends. A change of user ids takes it back. */
export const dieWithParent = call('prctl', PR_SET_PDEATHSIG, SIGKILL);

export const cloneFlags = {
  newNs: 0x20000,
  newCgroup: 0x2000000,
  newUts: 0x4000000,
  newIpc: 0x8000000,
  newUser: 0x10000000,
  newPid: 0x20000000,
  newNet: 0x40000000,
} as const;

export interface SuperviseOptions {
  /** Namespaces besides pid and mount: bits of {@link cloneFlags}. */
  readonly namespaces?: number;
  /** A file that stands for the network namespace to be in. Default: that of slipway. */
  readonly network?: string;
  /** Process id that the launcher's parent has: that of slipway. */
  readonly parent: number;
  /** What the launcher does before it makes namespaces: enters cgroups. */
  readonly first?: readonly LauncherStep[];
}

/** Steps of a launcher whose child works through `steps` as process 1 of new pid and mount namespaces. */
export function supervised(
  steps: readonly LauncherStep[],
  options: SuperviseOptions,
): readonly LauncherStep[] {
  const namespaces = cloneFlags.newPid | cloneFlags.newNs | (options.namespaces ?? 0);
  return [
    ...tied(options.parent),
    ...(options.first ?? []),
    ...(options.network === undefined ? [] : joinNetwork(options.network)),
    named('make namespaces', call('unshare', namespaces)),
    { kind: 'fork', flags: 0, child: [dieWithParent, ...steps] },
  ];
}

/**
 * First steps of every launcher: it has no descriptors but its own, and ends with slipway.
 * @param parent slipway's process id
 * @param last the last descriptor that it was given
 */
export function tied(parent: number, last = reportFd): readonly LauncherStep[] {
  return [
    ...closeAbove(last),
    dieWithParent,
    // Slipway may have ended before the line above.
    { kind: 'call', call: 'getppid', args: [], expect: parent, purpose: 'find slipway' },
  ];
}

/** Leaves no descriptor open but those up to `last`. */
export function closeAbove(last: number): readonly LauncherStep[] {
  return [
    attempt('close_range', last + 1, 0xffff_ffff, 0),
    ...openElsewhere(last).map(fd => attempt('close', fd)),
  ];
}

/** The file is the first free descriptor. */
function joinNetwork(path: string): readonly LauncherStep[] {
  const fd = reportFd + 1;
  const open: LauncherStep = { kind: 'call', call: 'openat', args: [AT_FDCWD, path, 0], expect: fd };
  return [
    named('open the network', open),
    named('join the network', call('setns', fd, cloneFlags.newNet)),
    call('close', fd),
  ];
}

/** Descriptors that slipway itself was started with and that would be passed on (before Linux 5.9 one has to name them). */
function openElsewhere(last: number): readonly number[] {
  const fds = readdirSync('/proc/self/fd').map(Number);
  return fds.filter(fd => fd > last && !isClosedOnExec(fd));
}

function isClosedOnExec(fd: number): boolean {
  const flags = /^flags:\s*([0-7]+)/m.exec(readOr(`/proc/self/fdinfo/${fd}`, 'flags: 02000000'))?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & openFlags.closeOnExec) !== 0;
}

/** How what the launcher ran has ended. */
export interface Supervision {
  readonly end: ProgramEnd;
  /** Of the innermost child that was waited for: status as wait(2) gives it; undefined when it was not reached. */
  readonly waitStatus: number | undefined;
}

export interface LaunchOptions {
  /** A private directory. */
  readonly dir: string;
  readonly signal: AbortSignal;
  /** Open files that the launcher gets behind its report. */
  readonly inherit?: readonly number[];
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  /** Called when the launcher has ended, before waiting for others who still hold its output open. */
  onExit?(): Promise<void>;
}

/**
 * Runs a launcher to its end.
 * @throws BuildError `interrupted` on abort, `sandbox` with facts `call` and `errno` when one of its steps failed
 */
export async function launch(steps: readonly LauncherStep[], options: LaunchOptions): Promise<Supervision> {
  const launcher = makeLauncher(steps, reportFd);
  const reportFile = join(options.dir, 'report');
  const report = openSync(reportFile, 'w+', 0o600);
  try {
    using program = openExecutable(launcher.file);
    const end = await runProgram([program.path], {
      env: {},
      signal: options.signal,
      onOutput: (stream, chunk) => options.onOutput(stream, chunk),
      inherit: [report, ...(options.inherit ?? [])],
      ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
      plainPipes: true,
    });
    const bytes = readFileSync(reportFile);
    const failure = end.status === launchFailed ? launcher.explain(bytes) : undefined;
    if (failure !== undefined) throw failure;
    return { end, waitStatus: waitStatusIn(bytes) };
  } finally {
    closeSync(report);
  }
}

/** What a report says of the innermost child that was waited for. */
export function waitStatusIn(report: Buffer): number | undefined {
  return report.length >= 4 && report.length < 16 ? report.readUInt32LE(0) : undefined;
}
