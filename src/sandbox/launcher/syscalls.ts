// Numbers of the system calls that the launcher makes, by architecture (asm/unistd_64.h, asm-generic/unistd.h).

/** x64, arm64. */
const numbers = {
  capset: [126, 91],
  chdir: [80, 49],
  chroot: [161, 51],
  clone: [56, 220],
  close: [3, 57],
  close_range: [436, 436],
  execve: [59, 221],
  exit_group: [231, 94],
  fchdir: [81, 50],
  fcntl: [72, 25],
  getppid: [110, 173],
  ioctl: [16, 29],
  keyctl: [250, 219],
  kill: [62, 129],
  mount: [165, 40],
  mount_setattr: [442, 442],
  openat: [257, 56],
  openat2: [437, 437],
  pivot_root: [155, 41],
  prctl: [157, 167],
  prlimit64: [302, 261],
  read: [0, 63],
  seccomp: [317, 277],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setns: [308, 268],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setsid: [112, 157],
  socket: [41, 198],
  umask: [95, 166],
  umount2: [166, 39],
  unlinkat: [263, 35],
  unshare: [272, 97],
  write: [1, 64],
} as const;

export type LauncherCall = keyof typeof numbers;

/** All of them. */
export const launcherCalls = Object.keys(numbers) as readonly LauncherCall[];

/** @param arch x64 or arm64 */
export function callNumber(name: LauncherCall, arch: string): number {
  return numbers[name][arch === 'arm64' ? 1 : 0];
}
