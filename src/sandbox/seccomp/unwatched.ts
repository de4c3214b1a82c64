// System calls with paths that proot may not know (5.1.0 is from 2014): it lets them pass, and they get at the files of the
// machine instead of the step's. Without them, programs take older ones, as on an older kernel.
import { filterProgram } from './filter.ts';
import { machineArchitectures } from './profile.ts';

const ENOSYS = 38;

const names = [
  ...[
    'statx',
    'faccessat2',
    'openat2',
    'fchmodat2',
    'execveat',
    'open_tree',
    'open_tree_attr',
    'mount_setattr',
  ],
  ...[
    'setxattrat',
    'getxattrat',
    'listxattrat',
    'removexattrat',
    'file_getattr',
    'file_setattr',
    'quotactl_fd',
  ],
  ...['move_mount', 'fspick', 'io_uring_setup'],
];

/** @returns undefined for a machine without a table */
export function unwatchedFilter(arch: string): Buffer | undefined {
  const architectures = machineArchitectures[arch];
  if (architectures === undefined) return undefined;
  const rule = { names, action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS } as const;
  return filterProgram({ defaultAction: 'SCMP_ACT_ALLOW', architectures, syscalls: [rule] }, arch);
}
