// The strongest rung: an OCI runtime (runc or crun) found on this machine runs the step.
// It is started through the launcher, in a pid namespace of its own, so that nothing survives slipway.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { effectiveCapabilities } from '../host/probe.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { temporaryName } from '../host/temp.ts';
import {
  cgroupName,
  hasUnifiedCgroups,
  hierarchies,
  idleUnified,
  removeCgroups,
  sweepCgroups,
} from './cgroups.ts';
import { commandError } from './commands.ts';
import { checkSettings, openStepCgroup, refuseSettings, seccompFor } from './demands.ts';
import { findDevices } from './devices.ts';
import { givenRules } from './given.ts';
import { attempt, call, type LauncherStep, named } from './launcher/launcher.ts';
import { launch, reportFd, supervised } from './launcher/supervise.ts';
import { withUnlimited } from './limits.ts';
import { mostOpenFiles } from './machine.ts';
import { resultOf } from './outcome.ts';
import { type Prepared, prepareRun } from './prepare.ts';
import { openPrivateNetwork } from './private-network.ts';
import type { Rung } from './rung.ts';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.ts';
import { runtimeSpec, type SpecMount } from './spec.ts';
import type { StepCgroup } from './step-cgroup.ts';

export interface OciOptions {
  /** Full path of the runtime. */
  readonly program: string;
  readonly name: 'runc' | 'crun';
  /** As it says itself: `1.1.5`. */
  readonly version: string;
  /** Whether it can filter system calls. */
  readonly seccomp: boolean;
}

const MS_REC_PRIVATE = 0x44000;
const MS_NOSUID_NODEV_NOEXEC = 14;
const MNT_DETACH = 2;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** A sandbox that runs each step through an OCI runtime. */
export function ociSandbox(options: OciOptions): Sandbox {
  const rung = rungOf(options);
  return {
    name: rung.name,
    description: `${options.name} ${options.version}`,
    check: settings => checkSettings(settings, rung),
    run: request => runStep(request, options),
  };
}

function rungOf({ name, seccomp }: OciOptions): Rung {
  return {
    name: 'oci',
    cgroupsFromTop: name === 'crun',
    cannot: seccomp ? {} : { seccompProfile: `this ${name} was built without seccomp` },
  };
}

async function runStep(request: SandboxRequest, options: OciOptions): Promise<SandboxResult> {
  throwIfInterrupted(request.signal);
  const rung = rungOf(options);
  refuseSettings(request, rung);
  const id = cgroupName(temporaryName());
  sweepCgroups();
  await using network = request.network === 'private' ? await openPrivateNetwork(request) : undefined;
  const prepared = prepareRun(request);
  let cgroup: StepCgroup | undefined;
  try {
    cgroup = openStepCgroup(request, rung);
    writeBundle(request, prepared, cgroup?.runtimePath ?? `/${id}`, options);
    const log = join(prepared.dir, 'log');
    const supervision = await launch(
      supervised(runtimeSteps(options, prepared.dir, id, log), {
        parent: process.pid,
        ...(network === undefined ? {} : { network: network.path }),
      }),
      {
        dir: prepared.dir,
        signal: request.signal,
        onOutput: (stream, chunk) => request.onOutput(stream, chunk),
      },
    );
    throwStartFailure(log, options, request.argv[0] ?? '');
    return resultOf({ ...supervision, waitStatus: undefined }, cgroup);
  } finally {
    prepared.remove();
    cgroup?.remove();
    removeCgroups(id);
  }
}

/** The runtime as process 1 of a pid namespace, with a /proc that belongs to it. */
function runtimeSteps(options: OciOptions, dir: string, id: string, log: string): readonly LauncherStep[] {
  const argv = [
    ...[options.program, '--root', join(dir, 'state'), '--log', log, '--log-format', 'json'],
    ...['run', '--bundle', dir, id],
  ];
  const env = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
  return [
    named('mount /', call('mount', 'none', '/', 0, MS_REC_PRIVATE, 0)),
    named('mount /proc', call('mount', 'proc', '/proc', 'proc', MS_NOSUID_NODEV_NOEXEC, 0)),
    ...hideUnified(options),
    call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
    named(options.program, call('execve', options.program, argv, env)),
  ];
}

/**
 * crun refuses a machine with both versions of cgroups as soon as the newer one has any controller (`hugetlb`, say), and
 * takes it when it does not see that one. Nothing is lost where the older one has all that matters.
 */
function hideUnified({ name }: OciOptions): readonly LauncherStep[] {
  const unified = name === 'crun' && !hasUnifiedCgroups() ? idleUnified(hierarchies()) : undefined;
  return unified === undefined ? [] : [attempt('umount2', unified, MNT_DETACH)];
}

function writeBundle(
  request: SandboxRequest,
  prepared: Prepared,
  cgroupsPath: string,
  options: OciOptions,
): void {
  const seccomp = options.seccomp ? seccompFor(request) : undefined;
  const mounts: SpecMount[] = prepared.mounts.map(mount => {
    const access = mount.readonly ? 'ro' : 'rw';
    if (mount.kind === 'tmpfs') {
      const size = mount.size === undefined ? [] : [`size=${mount.size}`];
      const options = ['nosuid', 'nodev', `mode=${(mount.mode ?? 0o1777).toString(8)}`, access, ...size];
      return { destination: mount.target, type: 'tmpfs', source: 'tmpfs', options };
    }
    const flags = [...(mount.isDevice ? [] : ['nodev']), ...(mount.noexec ? ['noexec'] : [])];
    const options = ['rbind', 'rprivate', 'nosuid', ...flags, access];
    return { destination: mount.target, type: 'bind', source: mount.source ?? '', options };
  });
  const spec = runtimeSpec(request, {
    mounts,
    openFiles: mostOpenFiles(),
    available: effectiveCapabilities(),
    cgroupsPath,
    cgroup2: hasUnifiedCgroups(),
    deviceCgroup: true,
    devices: [...findDevices(request.devices), ...givenRules(request)],
    ...(seccomp === undefined ? {} : { seccomp }),
  });
  mkdirSync(join(prepared.dir, 'state'), { mode: 0o700 });
  writeFileSync(join(prepared.dir, 'config.json'), withUnlimited(JSON.stringify(spec)), { mode: 0o600 });
}

/** The runtime writes what went wrong before the command was started into its log; the command cannot. */
function throwStartFailure(log: string, options: OciOptions, command: string): void {
  const message = logLines(log).findLast(line => line.level === 'error' || line.level === 'fatal')?.msg;
  if (message === undefined) return;
  const errno = execFailure(message);
  if (errno !== undefined) throw commandError(command, errno);
  throw new BuildError('sandbox', `${options.name} could not start the command: ${message}`, {
    hint: 'slipway info shows which other sandboxes work here; --isolation chooses one',
  });
}

/**
 * runc: `exec: "x": executable file not found in $PATH`, `exec /x: exec format error`; crun: `executable file \`x\` not
 * found`, `open executable: Permission denied`.
 */
function execFailure(message: string): string | undefined {
  if (!/\bexec\b|executable file|open executable/.test(message)) return undefined;
  if (/executable file .*not found|no such file or directory/i.test(message)) return 'ENOENT';
  if (/exec format error/i.test(message)) return 'ENOEXEC';
  if (/permission denied/i.test(message)) return 'EACCES';
  return /is a directory/i.test(message) ? 'EISDIR' : undefined;
}

function logLines(log: string): readonly { level?: string; msg?: string }[] {
  let text: string;
  try {
    text = readFileSync(log, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as { level?: string; msg?: string }];
    } catch {
      return [];
    }
  });
}
