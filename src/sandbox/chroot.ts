// The rung for root without mount rights, as in an ordinary container: chroot(2), capabilities and limits, but no
// namespaces. What a step is lent is put in its place (lend.ts), /proc is empty, /dev holds a few devices where they may
// be made. It keeps an honest step in order; it is no boundary against a hostile one.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { cwdFd, tryMknodAt } from '../host/fs-calls.ts';
import { effectiveCapabilities, hasCapability } from '../host/probe.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { capabilityBits, lastCapability, withheldWithoutNamespaces } from './capabilities.ts';
import { defaultDevices, deviceLinks } from './defaults.ts';
import { checkSettings, openStepCgroup, refuseSettings, seccompFor } from './demands.ts';
import { mayMakeDevices } from './given.ts';
import { boundingSteps, commandSteps, type Isolation, limitSteps } from './launcher/isolate.ts';
import { call, type LauncherStep, named } from './launcher/launcher.ts';
import { dieWithParent, launch, reportFd, tied } from './launcher/supervise.ts';
import { type Fill, fillOf, type Lent, type Loan, lend } from './lend.ts';
import { mostOpenFiles } from './machine.ts';
import { explainStart, resultOf } from './outcome.ts';
import { checkSizes, checkTarget, ensureCwd, generatedMounts, kernelPoints, mountsOf } from './prepare.ts';
import type { Rung } from './rung.ts';
import type { Sandbox, SandboxRequest, SandboxResult, StepSettings } from './sandbox.ts';
import { filterProgram } from './seccomp/filter.ts';
import type { StepCgroup } from './step-cgroup.ts';
import { killStrays, makeStrayMark, type StrayMark } from './strays.ts';
import { makeStubs } from './stubs.ts';
import { markSteps, watchStep } from './watchdog.ts';

const CAP_SYS_CHROOT = 18;
const CAP_SYS_ADMIN = 21;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const S_IFCHR = 0o020000;

/** A sandbox that needs root and nothing else. The root file system lies on one file system with its parent directory. */
export function chrootSandbox(): Sandbox {
  return {
    name: 'chroot',
    description: 'chroot (no security boundary)',
    movesSources: true,
    check: settings => checkSettings(settings, rungFor(settings)),
    run: runStep,
  };
}

/** What cannot be kept here depends on what slipway may do itself. */
function rungFor({ noNewPrivileges }: StepSettings): Rung {
  const canFilter = noNewPrivileges === true || hasCapability(CAP_SYS_ADMIN);
  return {
    name: 'chroot',
    cannot: {
      shmSize: 'nothing can be mounted',
      writableVolumes: 'nothing can be mounted, and what is written to a copy is lost (":ro" and ":O" work)',
      deviceAccess: 'a device can be read and written, or not be given: there is no device cgroup',
      noexec: 'nothing can be mounted',
      sockets: 'nothing can be mounted, and a socket cannot be copied',
      hooks: 'hooks are started by an OCI runtime',
      ...(mayMakeDevices() ? {} : { devices: 'slipway may not make device files here' }),
      ...(canFilter
        ? {}
        : { seccompProfile: 'a filter needs CAP_SYS_ADMIN, or --security-opt no-new-privileges beside it' }),
    },
    withheld: {
      names: withheldWithoutNamespaces,
      why: 'with it, a step could leave its root, reach any device, or mount what then stays',
    },
  };
}

async function runStep(request: SandboxRequest): Promise<SandboxResult> {
  throwIfInterrupted(request.signal);
  refuse(request);
  const rung = rungFor(request);
  refuseSettings(request, rung);
  checkSizes(request);
  const dir = mkdtempSync(join(tmpdir(), 'slipway-run-'));
  let undo: (() => void) | undefined;
  let cgroup: StepCgroup | undefined;
  const mark = makeStrayMark(Math.random());
  // The root file system holds copies of what the step is lent, secrets too.
  await using _watchdog = watchStep({ mark, paths: [dir, ...(request.volatile ?? []), request.rootfs] });
  try {
    cgroup = openStepCgroup(request, rung);
    undo = furnish(request, dir);
    const supervision = await launch(chrootSteps(request, mark, cgroup), {
      dir,
      signal: request.signal,
      onOutput: (stream, chunk) => request.onOutput(stream, chunk),
      onExit: () => killStrays(mark),
    });
    return resultOf(supervision, cgroup);
  } catch (error) {
    throw explainStart(error, request);
  } finally {
    await killStrays(mark);
    cgroup?.remove();
    try {
      undo?.();
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
}

function refuse(request: SandboxRequest): void {
  if (((effectiveCapabilities() >> BigInt(CAP_SYS_CHROOT)) & 1n) === 0n) {
    throw new BuildError('sandbox', 'chroot needs root with CAP_SYS_CHROOT');
  }
  if (request.network === 'host') return;
  throw new BuildError('sandbox', 'the network cannot be taken away from a step with --isolation=chroot', {
    hint: 'run as root with CAP_SYS_ADMIN, or let an ordinary user have user namespaces (slipway info)',
  });
}

/** Puts everything in its place. @returns how to take it away again */
function furnish(request: SandboxRequest, dir: string): () => void {
  const wanted = [...generatedMounts(request, dir), ...mountsOf(request)];
  const points = [
    ...kernelPoints.map(path => ({ path, isFile: false })),
    ...wanted.map(mount => ({ path: mount.target, isFile: mount.isFile === true })),
  ];
  const stubs = makeStubs(request.rootfs, points);
  const targets = stubs.resolved.slice(kernelPoints.length);
  let lent: Lent | undefined;
  const undo = () => {
    lent?.giveBack();
    if (lent !== undefined) for (const path of ['/dev', ...targets]) request.onMovedAndBack?.(path);
    stubs.remove();
  };
  try {
    const loans: readonly Loan[] = wanted.map((mount, i) => ({
      target: checkTarget(targets[i] ?? '/', mount),
      fill: fillOf(mount),
    }));
    lent = lend(request.rootfs, [{ target: '/dev', fill: fillDev }, ...loans]);
    ensureCwd(request, targets);
    return undo;
  } catch (error) {
    undo();
    throw error;
  }
}

/** Where devices may not be made, an empty file stands for /dev/null: what is written to it goes away with it. */
function fillDev(dev: string): ReturnType<Fill> {
  mkdirSync(dev);
  chmodSync(dev, 0o755);
  for (const [name, major, minor] of defaultDevices) {
    const path = `${dev}/${name}`;
    const made = tryMknodAt(cwdFd, path, S_IFCHR | 0o666, major, minor);
    if (made < 0 && name === 'null') writeFileSync(path, '');
    if (made === 0 || name === 'null') chmodSync(path, 0o666);
  }
  for (const [name, target] of deviceLinks) if (name !== 'ptmx') symlinkSync(target, `${dev}/${name}`);
  mkdirSync(`${dev}/shm`);
  chmodSync(`${dev}/shm`, 0o1777);
  return () => {};
}

function chrootSteps(
  request: SandboxRequest,
  mark: StrayMark,
  cgroup: StepCgroup | undefined,
): readonly LauncherStep[] {
  // Only a filter that was asked for: the usual one needs rights that this rung is there to do without.
  const profile = typeof request.seccomp === 'object' ? seccompFor(request) : undefined;
  const seccomp = profile === undefined ? undefined : filterProgram(profile, process.arch);
  const machine: Isolation = {
    openFiles: mostOpenFiles(),
    lastCapability: lastCapability(),
    available: effectiveCapabilities() & ~capabilityBits(withheldWithoutNamespaces),
    masked: [],
    readonlyPaths: [],
    tie: dieWithParent,
    ...(seccomp === undefined ? {} : { seccomp }),
  };
  return [
    ...tied(process.pid),
    ...(cgroup?.join() ?? []),
    {
      kind: 'fork',
      flags: 0,
      child: [
        dieWithParent,
        call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
        call('umask', 0o022),
        ...limitSteps(request, machine.openFiles),
        ...markSteps(mark),
        named('change the root', call('chroot', request.rootfs)),
        call('chdir', '/'),
        ...boundingSteps(request, machine),
        ...commandSteps(request, machine),
      ],
    },
  ];
}
