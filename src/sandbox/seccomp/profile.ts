// A profile of system calls as data, in the terms of the runtime configuration (config-linux.md#seccomp), and Docker's
// default one (docs.docker.com/engine/security/seccomp). An OCI runtime gets it as it is, filter.ts makes a program of it.
import { type Capability, capabilityNames } from '../defaults.ts';
import { allowedCalls } from './numbers.ts';

export const seccompActions = [
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_LOG',
] as const;

export type SeccompAction = (typeof seccompActions)[number];

export const seccompOperators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;

/** What an argument is compared with: `value`, or (masked) `value` is the mask and `valueTwo` what must be left. */
export interface SeccompComparison {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: (typeof seccompOperators)[number];
}

/** All comparisons must hold. Without any, the rule holds always and those with comparisons do not count. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompComparison[];
}

export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  /** `SCMP_ARCH_X86_64` and the like: what programs may be made for. */
  readonly architectures: readonly string[];
  /** Names that a kernel or a library does not know are passed over. */
  readonly syscalls: readonly SeccompRule[];
}

/** errno of a call that is not allowed: EPERM. */
export const deniedErrno = 1;
const ENOSYS = 38;

/** Bits of clone that make namespaces (CLONE_NEW*). */
const newNamespaces = 0x7e020000;
/** Linux, Linux with short inodes, UNAME26 with either, and asking for the present one. */
const personalities = [0, 8, 0x20000, 0x20008, 0xffffffff];
/** Families as ranges. Left out are AF_ALG, AF_VSOCK and what nobody uses any more. */
const socketFamilies = [
  [0, 11],
  [13, 18],
  [21, 22],
  [24, 24],
  [26, 33],
  [35, 36],
  [39, 39],
  [41, 45],
] as const;

/** Calls that are allowed to who has a capability, which the kernel then asks for. */
const forCapability: Readonly<Partial<Record<Capability, string>>> = {
  BPF: 'bpf',
  DAC_READ_SEARCH: 'open_by_handle_at',
  PERFMON: 'perf_event_open',
  SYSLOG: 'syslog',
  SYS_ADMIN:
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules ' +
    'lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname ' +
    'sethostname setns syslog umount umount2 unshare',
  SYS_BOOT: 'reboot',
  SYS_MODULE: 'delete_module finit_module init_module',
  SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  SYS_PACCT: 'acct',
  SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  SYS_RAWIO: 'ioperm iopl',
  SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  SYS_TTY_CONFIG: 'vhangup',
};

/**
 * What programs on a machine may be made for, by process.arch. Not x32, which Docker allows: nobody has such programs, and
 * a runtime needs 4 ms more for each step to compile the filter.
 */
export const machineArchitectures: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/**
 * Docker's profile for a step with these capabilities.
 * @param arch as process.arch
 * @returns undefined for an architecture without a table
 */
export function defaultProfile(
  arch: string,
  capabilities: readonly Capability[],
): SeccompProfile | undefined {
  const architectures = machineArchitectures[arch];
  if (architectures === undefined) return undefined;
  const granted = capabilityNames
    .filter(name => capabilities.includes(name))
    .flatMap(name => forCapability[name]?.split(' ') ?? []);
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: deniedErrno,
    architectures,
    syscalls: [allow([...new Set([...allNames(), ...granted])]), ...conditional(granted.includes('clone'))],
  };
}

function allNames(): readonly string[] {
  const only32 = [
    'recv',
    'send',
    'arm_fadvise64_64',
    'arm_sync_file_range',
    'sync_file_range2',
    'cacheflush',
    'set_tls',
  ];
  return [...Object.values(allowedCalls).flatMap(table => [...table.keys()]), ...only32];
}

function allow(names: readonly string[], ...args: readonly SeccompComparison[]): SeccompRule {
  return { names, action: 'SCMP_ACT_ALLOW', ...(args.length === 0 ? {} : { args }) };
}

function conditional(anyClone: boolean): readonly SeccompRule[] {
  return [
    ...(anyClone ? [] : cloneRules()),
    ...personalities.map(value => allow(['personality'], { index: 0, value, op: 'SCMP_CMP_EQ' })),
    ...socketFamilies.flatMap(([first, last]) => between(first, last)).map(each => allow(['socket'], each)),
  ];
}

/**
 * Comparisons of the first argument, of which one holds for each number of the range: blocks of 1, 2, 4, ... numbers. A
 * rule compares an argument once, and a runtime takes 0.2 ms to compile each rule. The upper half of the argument does not count,
 * in the kernel neither: it is an int.
 */
function between(first: number, last: number): readonly SeccompComparison[] {
  if (first > last) return [];
  let size = 1;
  while (first % (2 * size) === 0 && first + 2 * size - 1 <= last) size *= 2;
  return [
    { index: 0, value: 2 ** 32 - size, valueTwo: first, op: 'SCMP_CMP_MASKED_EQ' },
    ...between(first + size, last),
  ];
}

/** clone3 has its flags in memory, where no filter sees them: it does not exist, and libc falls back to clone. */
function cloneRules(): readonly SeccompRule[] {
  return [
    allow(['clone'], { index: 0, value: newNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  ];
}
