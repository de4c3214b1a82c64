// What process 1 of the built-in sandbox does before the step's command: root file system, /proc and /sys, host name,
// loopback, limits, capabilities, identity. A list of system calls; pure.
import { capabilityBits, grantedCapabilities } from '../capabilities.ts';
import { maskedPaths, readonlyPaths } from '../defaults.ts';
import { limitArguments, stepLimits } from '../limits.ts';
import type { SandboxRequest } from '../sandbox.ts';
import { attempt, type CallArgument, call, type LauncherStep, named } from './launcher.ts';
import { reportFd } from './supervise.ts';

const MS = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  bind: 4096,
  rec: 16384,
  private: 1 << 18,
};
const guarded = MS.nosuid | MS.nodev | MS.noexec;
const MNT_DETACH = 2;
const PR = { setDumpable: 4, capBoundingDrop: 24, setNoNewPrivileges: 38 } as const;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP_RUNNING = 0x41;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const KEYCTL_JOIN_SESSION_KEYRING = 1;
const SECCOMP_SET_MODE_FILTER = 1;
/** Without it older kernels make every program under a filter slower. */
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
/** rdonly, nosuid, nodev, noexec */
const MOUNT_ATTR_GUARDED = 15;
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What the machine adds to the request. */
export interface Isolation {
  readonly openFiles: number;
  /** Number of the kernel's last capability. */
  readonly lastCapability: number;
  /** Capabilities that this process has itself, as bits; more cannot be given. */
  readonly available: bigint;
  /** Which of the paths to hide exist here, and what they are. */
  readonly masked: readonly { readonly path: string; readonly isDirectory: boolean }[];
  readonly readonlyPaths: readonly string[];
  /** This process is root of a user namespace: /sys cannot be mounted anew next to the machine's network. */
  readonly userNamespace?: boolean;
  /** There is one group id, so none can be chosen. */
  readonly singleId?: boolean;
  /** A step after the change of user. */
  readonly tie?: LauncherStep;
  /** Instructions of a BPF program for seccomp(2), 8 bytes each. */
  readonly seccomp?: Buffer;
}

/** The paths that are hidden or read-only in /proc and /sys unless the step is insecure. */
export const guardedPaths = { masked: maskedPaths, readonly: readonlyPaths } as const;

/** Steps of process 1: they set up, start the command as a child, and reap. */
export function isolationSteps(request: SandboxRequest, machine: Isolation): readonly LauncherStep[] {
  return [
    attempt('keyctl', KEYCTL_JOIN_SESSION_KEYRING, 0),
    ...rootSteps(request, machine),
    named('set the host name', call('sethostname', request.hostname, Buffer.byteLength(request.hostname))),
    ...(request.network === 'none' ? loopbackSteps() : []),
    ...pivotSteps(request.rootfs),
    call('fcntl', reportFd, F_SETFD, FD_CLOEXEC),
    call('umask', 0o022),
    ...limitSteps(request, machine.openFiles),
    ...boundingSteps(request, machine),
    // Keeps what runs inside from looking at process 1 through /proc.
    call('prctl', PR.setDumpable, 0),
    { kind: 'fork', flags: 0, child: commandSteps(request, machine) },
  ];
}

function mount(source: string | 0, target: string, type: string | 0, flags: number, data: string | 0 = 0) {
  return named(`mount ${target}`, call('mount', source, target, type, flags, data));
}

function rootSteps(request: SandboxRequest, machine: Isolation): readonly LauncherStep[] {
  const { rootfs } = request;
  const insecure = request.security === 'insecure';
  const access = insecure ? 0 : MS.rdonly;
  const proc = `${rootfs}/proc`;
  const sys = `${rootfs}/sys`;
  return [
    mount('none', '/', 0, MS.rec | MS.private),
    mount(rootfs, rootfs, 0, MS.bind | MS.rec),
    // Device files may be made, as Docker lets them, but none outside /dev can be opened.
    ...(insecure ? [] : [mount(0, rootfs, 0, MS.remount | MS.bind | MS.nodev)]),
    ...procSteps(proc, machine),
    ...sysSteps(sys, request, machine, guarded | access),
    mount('mqueue', `${rootfs}/dev/mqueue`, 'mqueue', guarded),
    ...(insecure ? [] : machine.readonlyPaths.flatMap(path => makeReadonly(rootfs + path))),
    ...(insecure ? [] : machine.masked.map(({ path, isDirectory }) => hide(rootfs + path, isDirectory))),
  ];
}

/** In a container, the kernel may refuse a new /proc where parts of the old one are hidden: then that one is shown. */
function procSteps(proc: string, machine: Isolation): readonly LauncherStep[] {
  if (machine.userNamespace !== true) return [mount('proc', proc, 'proc', guarded)];
  return [mount('/proc', proc, 0, MS.bind | MS.rec), attempt('mount', 'proc', proc, 'proc', guarded, 0)];
}

function sysSteps(
  sys: string,
  request: SandboxRequest,
  machine: Isolation,
  flags: number,
): readonly LauncherStep[] {
  const isOwn = request.network !== 'host' || machine.userNamespace !== true;
  if (isOwn) return [mount('sysfs', sys, 'sysfs', flags)];
  const attributes = { words: [MOUNT_ATTR_GUARDED, 0, 0, 0] };
  return [
    mount('/sys', sys, 0, MS.bind | MS.rec),
    attempt('mount_setattr', AT_FDCWD, sys, AT_RECURSIVE, attributes, 32),
  ];
}

function makeReadonly(path: string): readonly LauncherStep[] {
  return [
    mount(path, path, 0, MS.bind | MS.rec),
    mount(0, path, 0, MS.remount | MS.bind | MS.rdonly | guarded),
  ];
}

function hide(path: string, isDirectory: boolean): LauncherStep {
  if (!isDirectory) return mount('/dev/null', path, 0, MS.bind);
  return mount('tmpfs', path, 'tmpfs', MS.rdonly | guarded, 'size=4k,nr_inodes=1');
}

/** `struct ifreq` with the name and the flags of the loopback interface. The socket is the first free descriptor. */
function loopbackSteps(): readonly LauncherStep[] {
  const request = Buffer.alloc(40);
  request.write('lo');
  request.writeUInt16LE(IFF_UP_RUNNING, 16);
  const socket = reportFd + 1;
  return [
    {
      kind: 'call',
      call: 'socket',
      args: [AF_INET, SOCK_DGRAM, 0],
      expect: socket,
      purpose: 'open a socket',
    },
    named('bring the loopback interface up', call('ioctl', socket, SIOCSIFFLAGS, request)),
    call('close', socket),
  ];
}

/** The old root ends up on top of the new one (pivot_root(2), notes) and is taken away. */
function pivotSteps(rootfs: string): readonly LauncherStep[] {
  return [
    named('enter the root file system', call('chdir', rootfs)),
    named('change the root', call('pivot_root', '.', '.')),
    named('leave the old root', call('umount2', '.', MNT_DETACH)),
    call('chdir', '/'),
  ];
}

/** Sets the limits of a step. */
export function limitSteps(
  request: Pick<SandboxRequest, 'limits'>,
  openFiles: number,
): readonly LauncherStep[] {
  return stepLimits(request, openFiles).map(each =>
    named(`set the limit ${each.name}`, call('prlimit64', 0, ...limitArguments(each), 0)),
  );
}

/** `struct rlimit64` with both limits the same. */
export function limit(value: number): Buffer {
  return Buffer.from(new BigUint64Array([BigInt(value), BigInt(value)]).buffer);
}

/** What decides which capabilities there are. */
export type Rights = Pick<Isolation, 'available' | 'lastCapability'>;

function granted(request: SandboxRequest, machine: Rights): bigint {
  return capabilityBits(grantedCapabilities(request, machine.available));
}

/** Takes away for good what is not granted. */
export function boundingSteps(request: SandboxRequest, machine: Rights): readonly LauncherStep[] {
  const kept = granted(request, machine);
  const all = Array.from({ length: machine.lastCapability + 1 }, (_, number) => number);
  return all
    .filter(number => ((kept >> BigInt(number)) & 1n) === 0n)
    .map(number => named(`drop capability ${number}`, call('prctl', PR.capBoundingDrop, number)));
}

/** The child: becomes the user, then the command. */
export function commandSteps(request: SandboxRequest, machine: Isolation): readonly LauncherStep[] {
  const groups = [...new Set([request.gid, ...request.groups])];
  return [
    call('setsid'),
    named(`enter ${request.cwd}`, call('chdir', request.cwd)),
    ...noNewPrivilegesSteps(request),
    ...(machine.seccomp === undefined ? [] : seccompSteps(machine.seccomp)),
    ...(machine.singleId === true ? [] : [setGroups(groups)]),
    named('set the group', call('setresgid', request.gid, request.gid, request.gid)),
    capabilityStep(request, machine),
    named('set the user', call('setresuid', request.uid, request.uid, request.uid)),
    ...(machine.tie === undefined ? [] : [machine.tie]),
    ...executeSteps(request),
  ];
}

/** Leaves root what is granted; another user loses it with the change of user. */
export function capabilityStep(request: SandboxRequest, machine: Rights): LauncherStep {
  return named('set capabilities', call('capset', ...capabilitySets(granted(request, machine))));
}

export function noNewPrivilegesSteps({
  noNewPrivileges,
}: Pick<SandboxRequest, 'noNewPrivileges'>): readonly LauncherStep[] {
  if (noNewPrivileges !== true) return [];
  return [named('refuse new privileges', call('prctl', PR.setNoNewPrivileges, 1, 0, 0, 0))];
}

function setGroups(groups: readonly number[]): LauncherStep {
  return named('set groups', call('setgroups', groups.length, Buffer.from(new Uint32Array(groups).buffer)));
}

/** Needs CAP_SYS_ADMIN or no new privileges. */
export function seccompSteps(program: Buffer): readonly LauncherStep[] {
  const filter = { words: [program.length / 8, program] };
  return [
    named(
      'install the system call filter',
      call('seccomp', SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter),
    ),
  ];
}

/** `struct __user_cap_header_struct` of version 3, and the sets in halves: effective, permitted, inheritable. */
function capabilitySets(bits: bigint): readonly CallArgument[] {
  const header = Buffer.from(new Uint32Array([0x20080522, 0]).buffer);
  const low = Number(bits & 0xffff_ffffn);
  const high = Number(bits >> 32n);
  return [header, Buffer.from(new Uint32Array([low, low, 0, high, high, 0]).buffer)];
}

/** As execvp(3): a name without '/' is looked for in PATH of the step's own environment. */
export function executeSteps(request: Pick<SandboxRequest, 'argv' | 'env'>): readonly LauncherStep[] {
  const [name = ''] = request.argv;
  const execute = (path: string) => call('execve', path, request.argv, request.env);
  if (name.includes('/')) return [named(name, execute(name))];
  const path = request.env.findLast(entry => entry.startsWith('PATH='))?.slice(5) ?? defaultPath;
  const candidates = path.split(':').map(dir => `${dir === '' ? '.' : dir}/${name}`);
  const tries = candidates.map(file => attempt('execve', file, request.argv, request.env));
  return [...tries, named(name, execute(candidates.at(-1) ?? name))];
}
