// The rung for an ordinary user where user namespaces are refused: proot (proot-me.github.io) watches every system call of
// the step and rewrites paths and ids. Nothing is really mounted and nobody really becomes root; it is slow, and no
// security boundary: between the look at a path and the call, whoever shares a directory can put a link there. Where the
// kernel has Landlock, such a path leads to nothing, and the step gets at no process but its own.
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
import {
  type LandlockRuleset,
  landlockRestrictSelf,
  landlockVersion,
  makeLandlockRuleset,
} from '../host/landlock.ts';
import { effectiveCapabilities, hasCapability } from '../host/probe.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { capabilityBits, lastCapability, withheldWithoutNamespaces } from './capabilities.ts';
import { defaultDevices, deviceLinks } from './defaults.ts';
import { checkSettings, openStepCgroup, refuseSettings } from './demands.ts';
import { openRoot } from './in-root.ts';
import {
  boundingSteps,
  capabilityStep,
  executeSteps,
  limitSteps,
  noNewPrivilegesSteps,
  type Rights,
  seccompSteps,
} from './launcher/isolate.ts';
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
import { explainPlace, explainStart, resultOf } from './outcome.ts';
import {
  checkSizes,
  checkTarget,
  ensureCwd,
  generatedMounts,
  kernelPoints,
  makePlaceWithin,
  mountsOf,
  openSource,
} from './prepare.ts';
import { removeDir } from './remove-dir.ts';
import type { Rung } from './rung.ts';
import type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox.ts';
import { unwatchedFilter } from './seccomp/unwatched.ts';
import type { StepCgroup } from './step-cgroup.ts';
import { killStrays, makeStrayMark, type StrayMark, watchStrays } from './strays.ts';
import { makeStubs } from './stubs.ts';
import { markSteps, watchStep } from './watchdog.ts';

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const AT_FDCWD = -100;
const CAP_SETPCAP = 8;
const CAP_SYS_ADMIN = 21;
/** Where the starter reports. */
const starterFd = reportFd + 1;
/** What the starter holds itself to, where there is Landlock. */
const rulesFd = starterFd + 1;
const tempVariable = 'PROOT_TMP_DIR';
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
  /** It gets no help of a filter of system calls, which needs a kernel that it knows. Default: it may. */
  readonly watchesAll?: boolean;
}

/** A sandbox that needs no rights at all. */
export function prootSandbox(options: ProotOptions): Sandbox {
  return {
    name: 'proot',
    description: `proot ${options.version}${landlockVersion() < 2 ? '' : ' with Landlock'} (no security boundary)`,
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
  using rules = request.security === 'insecure' ? undefined : makeLandlockRuleset();
  const mark = makeStrayMark(Math.random());
  await using _watchdog = watchStep({ mark, paths: [dir, ...(request.volatile ?? [])] });
  try {
    const mounts = [...generatedMounts(request, dir), ...mountsOf(request, false)];
    const points = mounts.map(mount => ({ path: mount.target, isFile: mount.isFile === true }));
    stubs = makeStubs(request.rootfs, [...kernelPoints.map(path => ({ path, isFile: false })), ...points]);
    const targets = stubs.resolved.slice(kernelPoints.length);
    const shown = mounts.map((mount, i) => {
      const target = checkTarget(targets[i] ?? '/', mount);
      return { ...mount, target, source: sourceOf(mount, join(dir, `lent-${i}`), rules) };
    });
    for (const [i, mount] of shown.entries()) makePlace(mount, shown.slice(0, i));
    ensureCwd(request, targets);
    cgroup = openStepCgroup(request, rung);
    using starter = makeStarter(request, dir, rules !== undefined);
    using _watch = watchStrays(mark, process.pid);
    allowOwn(request, options, dir, rules);
    const machine: Machine = {
      binds: [
        ...devBinds(dir, rules),
        ...shown.map(({ source, target }) => `${source}:${target}`),
        `${starter.file}:${starterPath}`,
      ],
      ...{ mark, cgroup, dir, lastFd: rules === undefined ? starterFd : rulesFd },
    };
    const supervision = await launch(prootSteps(request, options, machine), {
      dir,
      signal: request.signal,
      inherit: [starter.report, ...(rules === undefined ? [] : [rules.fd])],
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

function makeStarter(request: SandboxRequest, dir: string, hasRules: boolean): Starter {
  const launcher: Launcher = makeLauncher(
    [
      // proot gone, what it watched would go on.
      dieWithParent,
      call('fcntl', starterFd, F_SETFD, FD_CLOEXEC),
      attempt('unlinkat', AT_FDCWD, starterPath, 0),
      ...confiningSteps(hasRules),
      ...rootSteps(request),
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

/**
 * What the command may not get at: with rules, the files of the machine; and calls that proot does not know and that would
 * pass it by. Without CAP_SYS_ADMIN only who can get no new rights may give up some; what proot watches for an ordinary
 * user gets none anyway.
 */
function confiningSteps(hasRules: boolean): readonly LauncherStep[] {
  const filter = unwatchedFilter(process.arch);
  return [
    ...noNewPrivilegesSteps({ noNewPrivileges: !hasCapability(CAP_SYS_ADMIN) }),
    ...(hasRules
      ? [
          named('give up the rest of the machine', call(landlockRestrictSelf, rulesFd, 0)),
          call('close', rulesFd),
        ]
      : []),
    ...(filter === undefined ? [] : seccompSteps(filter)),
  ];
}

/** What is really root has no more rights than in chroot: those could lead around Landlock. */
function rootSteps(request: SandboxRequest): readonly LauncherStep[] {
  if (process.geteuid?.() !== 0 || request.security === 'insecure' || !hasCapability(CAP_SETPCAP)) return [];
  const rights: Rights = {
    lastCapability: lastCapability(),
    available: effectiveCapabilities() & ~capabilityBits(withheldWithoutNamespaces),
  };
  return [...boundingSteps(request, rights), capabilityStep(request, rights)];
}

/** The root file system, what the kernel shows, and what proot puts between the step and its programs. */
function allowOwn(
  request: SandboxRequest,
  { program }: ProotOptions,
  dir: string,
  rules: LandlockRuleset | undefined,
): void {
  if (rules === undefined) return;
  const isRoot = process.geteuid?.() === 0;
  rules.allow(request.rootfs, 'all');
  // What root may write there would change the machine.
  rules.allow('/proc', isRoot ? 'read' : 'read and write');
  if (!isRoot) rules.allow('/sys', 'read');
  // proot's loaders are files in a place that it was told, or (5.1.0) in /tmp.
  rules.allow(readFileSync(program).includes(tempVariable) ? dir : '/tmp', 'execute');
}

/**
 * What is shown for a mount. What may not be written is a copy, which goes away: proot has no read-only binds.
 * @param place where there is nothing yet
 */
function sourceOf(mount: SandboxMount, place: string, rules: LandlockRuleset | undefined): string {
  const { source } = mount;
  if (mount.kind === 'tmpfs' || source === undefined) {
    mkdirSync(place);
    chmodSync(place, 0o1777);
  } else if (mount.isDevice) {
    rules?.allow(source, 'read and write');
    return source;
  } else {
    const held = openSource(source, mount.isFile === true);
    try {
      // To connect to a socket is no writing.
      if (!mount.readonly || statSync(`/proc/self/fd/${held}`).isSocket()) {
        // Whatever its name stands for later, this is what can be written.
        rules?.allow(held, 'all');
        return source;
      }
    } finally {
      closeSync(held);
    }
    copySource(source, mount.isFile === true, place);
  }
  rules?.allow(place, 'all');
  return place;
}

/** proot shows a mount in another one without it, but not to those who list its directory. */
function makePlace(
  mount: SandboxMount,
  before: readonly (SandboxMount & { readonly source: string })[],
): void {
  const parent = before.findLast(({ target, isFile }) => !isFile && mount.target.startsWith(`${target}/`));
  if (parent === undefined) return;
  const root = openRoot(parent.source);
  try {
    makePlaceWithin(root, mount, parent);
  } catch (error) {
    throw explainPlace(error);
  } finally {
    closeSync(root);
  }
}

/** A /dev of its own, which shows a few of the machine's devices. */
function devBinds(dir: string, rules: LandlockRuleset | undefined): readonly string[] {
  const dev = join(dir, 'dev');
  mkdirSync(dev);
  chmodSync(dev, 0o755);
  for (const [name, target] of deviceLinks) if (name !== 'ptmx') symlinkSync(target, join(dev, name));
  mkdirSync(join(dev, 'shm'));
  chmodSync(join(dev, 'shm'), 0o1777);
  const names = [...defaultDevices.map(([name]) => name), 'pts', 'ptmx'];
  const devices = names.map(name => `/dev/${name}`).filter(path => existsSync(path));
  rules?.allow(dev, 'all');
  for (const path of devices) rules?.allow(path, 'read and write');
  return [`${dev}:/dev`, ...devices];
}

interface Machine {
  readonly binds: readonly string[];
  readonly mark: StrayMark;
  readonly cgroup: StepCgroup | undefined;
  readonly dir: string;
  /** The last descriptor that the starter needs. */
  readonly lastFd: number;
}

function prootSteps(
  request: SandboxRequest,
  { program, watchesAll }: ProotOptions,
  { binds, mark, cgroup, dir, lastFd }: Machine,
): readonly LauncherStep[] {
  const argv = [
    program,
    // Warnings are not the step's output.
    ...['-v', '-1', '-r', request.rootfs, '-w', request.cwd, '-i', `${request.uid}:${request.gid}`],
    // What root may write in /sys would change the machine.
    ...['/proc', ...(process.geteuid?.() === 0 ? [] : ['/sys']), ...binds].flatMap(bind => ['-b', bind]),
    starterPath,
  ];
  const env = [
    `${tempVariable}=${dir}`,
    'PROOT_DONT_POLLUTE_ROOTFS=1',
    ...(watchesAll === true ? ['PROOT_NO_SECCOMP=1'] : []),
  ];
  return [
    ...tied(process.pid, lastFd),
    ...(cgroup?.join(lastFd + 1) ?? []),
    call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
    call('umask', 0o022),
    ...limitSteps(request, mostOpenFiles()),
    ...markSteps(mark),
    ...noNewPrivilegesSteps(request),
    // Not the step's environment, which could name libraries of this machine: the starter gives that to the command.
    // proot 5.1.0 does not know the first variable: killed, it leaves an empty directory in /tmp. With the second one it
    // makes no places for mounts, in directories that somebody may just be swapping for links.
    named(program, call('execve', program, argv, env)),
  ];
}
