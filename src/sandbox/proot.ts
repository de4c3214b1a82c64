// The rung for an ordinary user where user namespaces are refused: proot (proot-me.github.io) watches every system call of
// the step and rewrites paths and ids. Nothing is really mounted and nobody really becomes root; it is slow, and no
// security boundary.
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { defaultDevices, deviceLinks } from './defaults.ts';
import { checkSettings, openStepCgroup, type Rung, refuseSettings } from './demands.ts';
import { limitSteps, noNewPrivilegesSteps } from './launcher/isolate.ts';
import { call, type LauncherStep, named } from './launcher/launcher.ts';
import { launch, reportFd, tied } from './launcher/supervise.ts';
import { copySource } from './lend.ts';
import { mostOpenFiles } from './machine.ts';
import { resultOf } from './outcome.ts';
import {
  checkSizes,
  checkTarget,
  ensureCwd,
  generatedMounts,
  kernelPoints,
  mountsOf,
  openSource,
} from './prepare.ts';
import { Complaints } from './proot-complaints.ts';
import type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox.ts';
import type { StepCgroup } from './step-cgroup.ts';
import { killStrays, makeStrayMark, markSteps, type StrayMark, watchStrays } from './strays.ts';
import { makeStubs } from './stubs.ts';

const F_SETFD = 2;
const FD_CLOEXEC = 1;

const rung: Rung = {
  name: 'proot',
  cannot: {
    shmSize: 'nothing can be mounted',
    capabilities: 'a step has no capabilities of its own, proot pretends what root may do',
    seccompProfile: 'proot itself needs the system calls of the step',
    deviceAccess: 'a device can be read and written, or not be given: there is no device cgroup',
  },
};

export interface ProotOptions {
  /** Full path. */
  readonly program: string;
  /** As it says itself. */
  readonly version: string;
}

/** A sandbox that needs no rights at all. */
export function prootSandbox(options: ProotOptions): Sandbox {
  return {
    name: 'proot',
    description: `proot ${options.version} (no security boundary)`,
    check: settings => checkSettings(settings, rung),
    run: request => runStep(request, options),
  };
}

async function runStep(request: SandboxRequest, options: ProotOptions): Promise<SandboxResult> {
  throwIfInterrupted(request.signal);
  if (request.network !== 'host') {
    throw new BuildError('sandbox', 'the network cannot be taken away from a step with --isolation=proot', {
      hint: 'let ordinary users have user namespaces (slipway info says how), or run as root',
    });
  }
  refuseSettings(request, rung);
  checkSizes(request);
  const dir = mkdtempSync(join(tmpdir(), 'slipway-run-'));
  let stubs: ReturnType<typeof makeStubs> | undefined;
  let cgroup: StepCgroup | undefined;
  const mark = makeStrayMark(Math.random());
  const complaints = new Complaints((stream, chunk) => request.onOutput(stream, chunk));
  try {
    const mounts = [...generatedMounts(request, dir), ...mountsOf(request)];
    const points = mounts.map(mount => ({ path: mount.target, isFile: mount.isFile === true }));
    stubs = makeStubs(request.rootfs, [...kernelPoints.map(path => ({ path, isFile: false })), ...points]);
    const targets = stubs.resolved.slice(kernelPoints.length);
    const binds = mounts.map((mount, i) => bindOf(mount, targets[i] ?? '/', join(dir, `lent-${i}`)));
    ensureCwd(request, targets);
    cgroup = openStepCgroup(request, rung);
    using _watch = watchStrays(mark, process.pid);
    const supervision = await launch(
      prootSteps(request, options, [...devBinds(dir), ...binds], mark, cgroup),
      {
        dir,
        signal: request.signal,
        onOutput: (stream, chunk) => complaints.pass(stream, chunk),
        onExit: () => killStrays(mark),
      },
    );
    complaints.end(request.argv[0] ?? '');
    return resultOf(supervision, cgroup);
  } finally {
    await killStrays(mark);
    cgroup?.remove();
    stubs?.remove();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What may not be written is a copy, which goes away: proot has no read-only binds. */
function bindOf(mount: SandboxMount, target: string, place: string): string {
  checkTarget(target, mount);
  if (mount.isDevice) return `${mount.source}:${target}`;
  if (mount.kind === 'tmpfs' || mount.source === undefined) {
    mkdirSync(place);
    chmodSync(place, 0o1777);
    return `${place}:${target}`;
  }
  closeSync(openSource(mount.source, mount.isFile === true));
  if (!mount.readonly) return `${mount.source}:${target}`;
  copySource(mount.source, mount.isFile === true, place);
  return `${place}:${target}`;
}

/** A /dev of its own, which shows a few of the machine's devices. */
function devBinds(dir: string): readonly string[] {
  const dev = join(dir, 'dev');
  mkdirSync(dev);
  chmodSync(dev, 0o755);
  for (const [name, target] of deviceLinks) if (name !== 'ptmx') symlinkSync(target, join(dev, name));
  mkdirSync(join(dev, 'shm'));
  chmodSync(join(dev, 'shm'), 0o1777);
  const devices = defaultDevices.map(([name]) => `/dev/${name}`);
  return [
    `${dev}:/dev`,
    ...devices.filter(path => existsSync(path)),
    '/dev/pts',
    ...(existsSync('/dev/ptmx') ? ['/dev/ptmx'] : []),
  ];
}

function prootSteps(
  request: SandboxRequest,
  { program }: ProotOptions,
  binds: readonly string[],
  mark: StrayMark,
  cgroup: StepCgroup | undefined,
): readonly LauncherStep[] {
  const argv = [
    program,
    ...['-r', request.rootfs, '-w', request.cwd, '-i', `${request.uid}:${request.gid}`],
    // What root may write in /sys would change the machine.
    ...['/proc', ...(process.geteuid?.() === 0 ? [] : ['/sys']), ...binds].flatMap(bind => ['-b', bind]),
    ...request.argv,
  ];
  return [
    ...tied(process.pid),
    ...(cgroup?.join ?? []),
    call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
    call('umask', 0o022),
    ...limitSteps(request, mostOpenFiles()),
    ...markSteps(mark),
    ...noNewPrivilegesSteps(request),
    named(program, call('execve', program, argv, request.env)),
  ];
}
