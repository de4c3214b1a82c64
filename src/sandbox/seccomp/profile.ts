// Docker's default profile of system calls as data: what an OCI runtime gets, and what filter.ts makes a program of.
import { allowedCalls } from './numbers.ts';

/** Calls that depend on an argument. */
export const conditions = {
  /** clone is allowed without any of these bits: new namespaces (CLONE_NEW*). */
  cloneForbidden: 0x7e020000,
  /** clone3 has its flags in memory, where no filter sees them: it does not exist (ENOSYS), and libc falls back to clone. */
  clone3Errno: 38,
  /** personality: Linux, Linux with short inodes, UNAME26 with either, and asking for the present one. */
  personalities: [0, 8, 0x20000, 0x20008, 0xffffffff],
  /** socket: families as ranges. Left out are AF_ALG, AF_VSOCK and what nobody uses any more. */
  socketFamilies: [
    [0, 11],
    [13, 18],
    [21, 22],
    [24, 24],
    [26, 33],
    [35, 36],
    [39, 39],
    [41, 45],
  ],
} as const;

/** errno of a call that is not allowed: EPERM. */
export const deniedErrno = 1;

const EQUAL = 'SCMP_CMP_EQ';

/**
 * The profile in terms of the runtime configuration (config-linux.md#seccomp). A runtime passes over names that its
 * library does not know.
 * @param arch as process.arch
 */
export function runtimeProfile(arch: string): object | undefined {
  const architectures = {
    x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  }[arch];
  if (architectures === undefined) return undefined;
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: deniedErrno,
    architectures,
    syscalls: [allow([...allNames()]), ...conditional()],
  };
}

function allNames(): Set<string> {
  const only32 = [
    'recv',
    'send',
    'arm_fadvise64_64',
    'arm_sync_file_range',
    'sync_file_range2',
    'cacheflush',
    'set_tls',
  ];
  return new Set([...Object.values(allowedCalls).flatMap(table => [...table.keys()]), ...only32]);
}

interface Comparison {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

function allow(names: readonly string[], ...args: readonly Comparison[]): object {
  return { names, action: 'SCMP_ACT_ALLOW', ...(args.length === 0 ? {} : { args }) };
}

function conditional(): readonly object[] {
  const { cloneForbidden, clone3Errno, personalities, socketFamilies } = conditions;
  const families = socketFamilies.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  return [
    allow(['clone'], { index: 0, value: cloneForbidden, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: clone3Errno },
    ...personalities.map(value => allow(['personality'], { index: 0, value, op: EQUAL })),
    ...families.map(value => allow(['socket'], { index: 0, value, op: EQUAL })),
  ];
}
