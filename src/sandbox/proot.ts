// The rung for an ordinary user where user namespaces are refused: proot (proot-me.github.io) watches every system call of
// the step and rewrites paths and ids. Nothing is really mounted and nobody really becomes root; it is slow, and no
// security boundary.
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BuildError } from '../errors.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { defaultDevices, deviceLinks } from './defaults.ts';
import { checkSettings, openStepCgroup, refuseSettings } from './demands.ts';
import { executeSteps, limitSteps, noNewPrivilegesSteps } from './launcher/isolate.ts';
import { attempt, call, type Launcher, type LauncherStep, makeLauncher, named } from './launcher/launcher.ts';
import {
  dieWithParent,
  launch,
  reportFd,
  type Supervision,
  tied,
  waitStatusIn,
} from './launcher/supervise.ts';
import { copySource } from './lend.ts';
import { mostOpenFiles } from './machine.ts';
import { explainStart, resultOf } from './outcome.ts';
import {
  checkSizes,
  checkTarget,
  ensureCwd,
  generatedMounts,
  kernelPoints,
  mountsOf,
  openSource,
} from './prepare.ts';
import { removeDir } from './remove-dir.ts';
import type { Rung } from './rung.ts';
import type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox.ts';
import type { StepCgroup } from './step-cgroup.ts';
import { killStrays, makeStrayMark, type StrayMark, watchStrays } from './strays.ts';
import { makeStubs } from './stubs.ts';
import { markSteps, watchStep } from './watchdog.ts';

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const AT_FDCWD = -100;
/** Where the starter reports. */
const starterFd = reportFd + 1;
/** The starter, inside, until it has begun. */
const starterPath = '/dev/slipway-start';

const rung: Rung = {
  name: 'proot',
  cannot: {
    shmSize: 'nothing can be mounted',
    capabilities: 'a step has no capabilities of its own, proot pretends what root may do',
    seccompProfile: 'proot itself needs the system calls of the step',
    deviceAccess: 'a device can be read and written, or not be given: there is no device cgroup',
    newDevices: 'proot shows the device files of this machine as they are',
    noexec: 'nothing can be mounted',
    groups: 'nobody really becomes another user',
    hooks: 'hooks are started by an OCI runtime',
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
  await using _watchdog = watchStep({ mark, paths: [dir, ...(request.volatile ?? [])] });
  try {
    const mounts = [...generatedMounts(request, dir), ...mountsOf(request, false)];
    const points = mounts.map(mount => ({ path: mount.target, isFile: mount.isFile === true }));
    stubs = makeStubs(request.rootfs, [...kernelPoints.map(path => ({ path, isFile: false })), ...points]);
    const targets = stubs.resolved.slice(kernelPoints.length);
    const binds = mounts.map((mount, i) => bindOf(mount, targets[i] ?? '/', join(dir, `lent-${i}`)));
    ensureCwd(request, targets);
    cgroup = openStepCgroup(request, rung);
    using starter = makeStarter(request, dir);
    using _watch = watchStrays(mark, process.pid);
    const allBinds = [...devBinds(dir), ...binds, `${starter.file}:${starterPath}`];
    const supervision = await launch(prootSteps(request, options, allBinds, mark, cgroup, dir), {
      dir,
      signal: request.signal,
      inherit: [starter.report],
      onOutput: (stream, chunk) => request.onOutput(stream, chunk),
      onExit: () => killStrays(mark),
    });
    return resultOf(starter.endOf(supervision), cgroup);
  } catch (error) {
    throw explainStart(error, request);
  } finally {
    await killStrays(mark);
    cgroup?.remove();
    stubs?.remove();
    removeDir(dir);
  }
}

/**
 * What proot starts: it starts the command and reports how that ended. proot itself says how the process that ended last
 * has ended, and nothing of signals.
 */
interface Starter {
  readonly file: string;
  /** An open file. */
  readonly report: number;
  /** @throws BuildError `sandbox` when the command was not reached, or cannot be executed */
  endOf(supervision: Supervision): Supervision;
  [Symbol.dispose](): void;
}

function makeStarter(request: SandboxRequest, dir: string): Starter {
  const launcher: Launcher = makeLauncher(
    [
      // proot gone, what it watched would go on.
      dieWithParent,
      call('fcntl', starterFd, F_SETFD, FD_CLOEXEC),
      attempt('unlinkat', AT_FDCWD, starterPath, 0),
      { kind: 'fork', flags: 0, child: [dieWithParent, ...executeSteps(request)] },
    ],
    starterFd,
  );
  // Programs may be executed where the root file system is.
  const place = mkdtempSync(join(dirname(request.rootfs), 'start-'));
  const file = join(place, 'start');
  writeFileSync(file, launcher.file, { mode: 0o755 });
  const reportFile = join(dir, 'starter-report');
  const report = openSync(reportFile, 'w+', 0o600);
  return {
    file,
    report,
    endOf(supervision) {
      const bytes = readFileSync(reportFile);
      const failure = launcher.explain(bytes);
      if (failure !== undefined) throw failure;
      const waitStatus = waitStatusIn(bytes);
      if (waitStatus !== undefined) return { ...supervision, waitStatus };
      if (supervision.end.status === undefined) return supervision;
      throw new BuildError('sandbox', `proot did not run the command to its end (${supervision.end.status})`);
    },
    [Symbol.dispose]() {
      closeSync(report);
      rmSync(place, { recursive: true, force: true });
    },
  };
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
  // To connect to a socket is no writing.
  if (!mount.readonly || statSync(mount.source).isSocket()) return `${mount.source}:${target}`;
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
  dir: string,
): readonly LauncherStep[] {
  const argv = [
    program,
    // Warnings are not the step's output.
    ...['-v', '-1', '-r', request.rootfs, '-w', request.cwd, '-i', `${request.uid}:${request.gid}`],
    // What root may write in /sys would change the machine.
    ...['/proc', ...(process.geteuid?.() === 0 ? [] : ['/sys']), ...binds].flatMap(bind => ['-b', bind]),
    starterPath,
  ];
  return [
    ...tied(process.pid, starterFd),
    ...(cgroup?.join(starterFd + 1) ?? []),
    call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
    call('umask', 0o022),
    ...limitSteps(request, mostOpenFiles()),
    ...markSteps(mark),
    ...noNewPrivilegesSteps(request),
    // Not the step's environment, which could name libraries of this machine: the starter gives that to the command.
    // proot 5.1.0 does not know this variable: killed, it leaves an empty directory in /tmp.
    named(program, call('execve', program, argv, [`PROOT_TMP_DIR=${dir}`])),
  ];
}
