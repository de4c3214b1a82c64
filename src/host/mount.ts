// Mounts by system call: mount(2), umount2(2) and the file-descriptor based interface that Linux has since 5.2
// (open_tree, move_mount, mount_setattr; man7.org/linux/man-pages/man2/open_tree.2.html). The numbers of the newer calls
// are the same on every architecture. Overlays have a file of their own: mount-overlay.ts.
import { closeSync, readFileSync } from 'node:fs';
import { check, declareC, failedWith } from './ffi.ts';

const NR = { openTree: 428, moveMount: 429, mountSetattr: 442 } as const;
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
const ATTR = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const MOVE_FROM_EMPTY_PATH = 4;
const MOVE_TO_EMPTY_PATH = 0x40;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** What may not be done below a mount. */
export interface MountFlags {
  readonly readonly?: boolean;
  readonly nosuid?: boolean;
  readonly nodev?: boolean;
  readonly noexec?: boolean;
}

/** A place to mount on: a path, or an open directory or file (O_PATH) that cannot be swapped meanwhile. */
export type MountTarget = string | number;

/** A path as C has it. Paths are UTF-8 text here. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

const cMount = () =>
  declareC(
    'int mount(const void *source, const void *target, const void *type, ulong flags, const void *data)',
  );

/** mount(2) as it is. @throws SystemError */
export function rawMount(source: string, target: string, type: string, flags: number, data = ''): void {
  const result = cMount()(cString(source), cString(target), cString(type), flags, cString(data));
  check(result, 'mount', target);
}

/** Stops mounts from being passed to or from other namespaces, for `path` and everything mounted below. */
export function makePrivate(path: string): void {
  rawMount('none', path, '', MS.rec | MS.private);
}

/** The path by which the kernel finds a target. */
export function targetPath(target: MountTarget): string {
  return typeof target === 'string' ? target : `/proc/self/fd/${target}`;
}

/** Puts a detached mount (from open_tree or fsmount) in its place. @throws SystemError */
export function moveMount(mountFd: number, target: MountTarget): void {
  const move = declareC('long syscall(long nr, int from, const void *a, int to, const void *b, uint flags)');
  const empty = cString('');
  const result =
    typeof target === 'string'
      ? move(NR.moveMount, mountFd, empty, AT_FDCWD, cString(target), MOVE_FROM_EMPTY_PATH)
      : move(NR.moveMount, mountFd, empty, target, empty, MOVE_FROM_EMPTY_PATH | MOVE_TO_EMPTY_PATH);
  check(result, 'move_mount', targetPath(target));
}

/**
 * Shows a directory or file of this machine, with everything mounted below it, at a second place.
 * @param source a path, or an open directory or file that cannot be swapped meanwhile
 * @throws SystemError
 */
export function bindMount(source: MountTarget, target: MountTarget, flags: MountFlags = {}): void {
  const open = declareC('long syscall(long nr, int dir, const void *path, uint flags)');
  const how = OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE;
  const fd =
    typeof source === 'string'
      ? open(NR.openTree, AT_FDCWD, cString(source), how)
      : open(NR.openTree, source, cString(''), how | AT_EMPTY_PATH);
  if (fd < 0 && failedWith('ENOSYS')) {
    bindClassic(targetPath(source), targetPath(target), flags);
    return;
  }
  check(fd, 'open_tree', targetPath(source));
  try {
    const later = !setAttributes(fd, flags);
    moveMount(fd, target);
    if (later) remountClassic(targetPath(target), flags);
  } finally {
    closeSync(fd);
  }
}

function attributeBits(flags: MountFlags): number {
  return (
    (flags.readonly ? ATTR.rdonly : 0) |
    (flags.nosuid ? ATTR.nosuid : 0) |
    (flags.nodev ? ATTR.nodev : 0) |
    (flags.noexec ? ATTR.noexec : 0)
  );
}

/** mount_setattr on a mount and everything below it. @returns false when the kernel has no such call */
export function setAttributes(mountFd: number, flags: MountFlags): boolean {
  const bits = attributeBits(flags);
  if (bits === 0) return true;
  const attr = new BigUint64Array([BigInt(bits), 0n, 0n, 0n]);
  const set = declareC(
    'long syscall(long nr, int dir, const void *path, uint flags, const void *attr, size_t size)',
  );
  const bytes = Buffer.from(attr.buffer);
  const result = set(
    NR.mountSetattr,
    mountFd,
    cString(''),
    AT_EMPTY_PATH | AT_RECURSIVE,
    bytes,
    bytes.length,
  );
  if (result < 0 && failedWith('ENOSYS')) return false;
  check(result, 'mount_setattr');
  return true;
}

function bindClassic(source: string, target: string, flags: MountFlags): void {
  rawMount(source, target, '', MS.bind | MS.rec);
  if (attributeBits(flags) !== 0) remountClassic(target, flags);
}

/** Before Linux 5.12 each mount has to be given its flags on its own. */
function remountClassic(target: string, flags: MountFlags): void {
  const mounted = realTarget(target);
  for (const path of mountsBelow(mounted)) {
    rawMount('none', path, '', MS.bind | MS.remount | attributeBits(flags));
  }
}

function realTarget(target: string): string {
  const fd = target.match(/^\/proc\/self\/fd\/(\d+)$/)?.[1];
  return fd === undefined ? target : (mountPathOf(Number(fd)) ?? target);
}

function mountPathOf(fd: number): string | undefined {
  const id = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').match(/^mnt_id:\s*(\d+)/m)?.[1];
  return mountTable().find(mount => mount.id === id)?.path;
}

function mountTable(): readonly { readonly id: string; readonly path: string }[] {
  const table = readFileSync('/proc/thread-self/mountinfo', 'utf8');
  return table.split('\n').flatMap(line => {
    const fields = line.split(' ');
    const id = fields[0];
    const path = fields[4];
    if (id === undefined || path === undefined) return [];
    return [
      { id, path: path.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8))) },
    ];
  });
}

/** Mount points at and below a path in this thread's namespace, outermost first. */
export function mountsBelow(path: string): readonly string[] {
  const paths = mountTable().map(mount => mount.path);
  return paths.filter(mount => mount === path || mount.startsWith(path === '/' ? '/' : `${path}/`));
}

export interface TmpfsOptions extends MountFlags {
  /** Bytes; default is the kernel's own: half of the memory. */
  readonly size?: number;
  /** Mode of the root directory, default 0o1777. */
  readonly mode?: number;
}

/** A new file system in memory. @throws SystemError */
export function mountTmpfs(target: MountTarget, options: TmpfsOptions = {}): void {
  const mode = `mode=${(options.mode ?? 0o1777).toString(8)}`;
  const data = options.size === undefined ? mode : `${mode},size=${options.size}`;
  rawMount('tmpfs', targetPath(target), 'tmpfs', attributeBits(options), data);
}

/** A new instance of a kernel file system (devpts, mqueue, sysfs, proc). @throws SystemError */
export function mountKernel(type: string, target: MountTarget, flags: MountFlags, data = ''): void {
  rawMount(type, targetPath(target), type, attributeBits(flags), data);
}

/** Takes a mount and everything below it out of sight at once; a path that is no mount point is left alone. */
export function unmount(target: string): void {
  const result = declareC('int umount2(const void *target, int flags)')(
    cString(target),
    MNT_DETACH | UMOUNT_NOFOLLOW,
  );
  if (result < 0 && (failedWith('EINVAL') || failedWith('ENOENT'))) return;
  check(result, 'umount2', target);
}
