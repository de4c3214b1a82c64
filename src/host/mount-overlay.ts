// Overlay mounts of many layers (docs.kernel.org/filesystems/overlayfs.html). The mount interface of Linux 5.2 takes the
// layers one by one (`lowerdir+`, since 6.7), so neither their number nor their length matters up to the kernel's 500;
// an older kernel gets one option line of short names.
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { check, declareC, failedWith, SystemError } from './ffi.ts';
import { cString, moveMount, rawMount, unmount } from './mount.ts';

const NR = { fsopen: 430, fsconfig: 431, fsmount: 432 } as const;
const SET = { flag: 0, string: 1, create: 6 } as const;
const CLOEXEC = 1;
const O_PATH_DIRECTORY = 0o12200000;
const LONGEST_STRING = 255;
/** OVL_MAX_STACK of the kernel. */
const MOST_LOWERS = 500;

export interface OverlayOptions {
  /** Lowest first; at least one. */
  readonly lowers: readonly string[];
  /** Without it the overlay is read-only. */
  readonly upper?: { readonly dir: string; readonly work: string };
  /** An existing directory. */
  readonly target: string;
  /** A directory for short names and intermediate mounts. */
  readonly scratch: string;
  /** Marks are kept in user.overlay.* (for user namespaces) rather than trusted.overlay.*. */
  readonly userXattr?: boolean;
  /** Which of the kernel's interfaces to use; default is the newer one where it is there. Tests try both. */
  readonly by?: 'steps' | 'line';
}

/**
 * Mounts an overlay. More than 500 lower directories are stacked in two levels (the lowest ones make a read-only overlay
 * of their own), which reaches 999.
 * @throws SystemError what the kernel says; BuildError `unsupported` for more layers than that
 */
export function mountOverlay(given: OverlayOptions): void {
  const lowers = withoutRepetition(given.lowers);
  const options = { ...given, lowers };
  if (lowers.length <= MOST_LOWERS) {
    mountOne(options);
    return;
  }
  const most = MOST_LOWERS * 2 - 1;
  if (lowers.length > most) {
    throw new BuildError('unsupported', `too many layers (${lowers.length} > ${most})`, {
      hint: 'build with --squash, or start from a base image with fewer layers',
    });
  }
  const base = mkdtempSync(join(options.scratch, 'base-'));
  const split = lowers.length - (MOST_LOWERS - 1);
  const { upper: _, ...rest } = options;
  mountOne({ ...rest, lowers: lowers.slice(0, split), target: base });
  try {
    mountOne({ ...options, lowers: [base, ...lowers.slice(split)] });
  } finally {
    unmount(base);
    rmSync(base, { recursive: true, force: true });
  }
}

/**
 * The kernel refuses (ELOOP) the same directory twice. What stands on top covers all that the same layer further down
 * could add, so only the highest of each counts.
 */
function withoutRepetition(lowers: readonly string[]): string[] {
  return [...new Set([...lowers].reverse())].reverse();
}

/** Found out once: the kernel writes each refusal into its log. */
let lacksSteps = false;

function mountOne(options: OverlayOptions): void {
  const fd = options.by === 'line' || lacksSteps ? undefined : openOverlay();
  if (fd !== undefined && mountStepwise(fd, options)) return;
  mountClassic(options);
  lacksSteps ||= fd !== undefined;
}

function openOverlay(): number | undefined {
  const open = declareC('long syscall(long nr, const void *type, uint flags)');
  const fd = open(NR.fsopen, cString('overlay'), CLOEXEC);
  if (fd < 0 && failedWith('ENOSYS')) return undefined;
  return check(fd, 'fsopen', 'overlay');
}

/** @returns false when this kernel has no `lowerdir+` or takes a setting amiss, with nothing mounted; takes over `fd` */
function mountStepwise(fd: number, options: OverlayOptions): boolean {
  const opened: number[] = [fd];
  const short = (path: string): string => {
    if (Buffer.byteLength(path) <= LONGEST_STRING) return path;
    const pathFd = openSync(path, O_PATH_DIRECTORY);
    opened.push(pathFd);
    return `/proc/self/fd/${pathFd}`;
  };
  try {
    const [top, ...others] = [...options.lowers].reverse();
    if (top === undefined) throw new BuildError('internal', 'an overlay needs a lower directory');
    if (!configure(fd, 'lowerdir+', short(top))) return false;
    for (const lower of others) set(fd, 'lowerdir+', short(lower), lower);
    if (options.upper !== undefined) {
      set(fd, 'upperdir', short(options.upper.dir), options.upper.dir);
      set(fd, 'workdir', short(options.upper.work), options.upper.work);
    }
    set(fd, 'source', 'overlay', 'overlay');
    for (const [key, value] of settings(options)) configure(fd, key, value);
    const mountFd = create(fd);
    if (mountFd === undefined) return false;
    opened.push(mountFd);
    moveMount(mountFd, options.target);
    return true;
  } finally {
    for (const each of opened) closeSync(each);
  }
}

/**
 * What a distribution may have set otherwise, so that the upper directory holds plain whiteouts and opaque marks only
 * (no redirects, no metadata-only copies). `volatile` leaves out syncing what is going to be read back at once.
 */
function settings(options: OverlayOptions): readonly (readonly [string, string | undefined])[] {
  return [
    ...(options.userXattr ? ([['userxattr', undefined]] as const) : []),
    ...(options.upper === undefined ? [] : ([['volatile', undefined]] as const)),
    ...(options.userXattr ? [] : ([['redirect_dir', 'nofollow']] as const)),
    ...(options.userXattr ? [] : ([['metacopy', 'off']] as const)),
    ['index', 'off'],
  ];
}

/** @returns false when the kernel does not take this setting */
function configure(fd: number, key: string, value: string | undefined): boolean {
  const config = declareC(
    'long syscall(long nr, int fd, uint command, const void *key, const void *value, int aux)',
  );
  const command = value === undefined ? SET.flag : SET.string;
  const result = config(
    NR.fsconfig,
    fd,
    command,
    cString(key),
    value === undefined ? null : cString(value),
    0,
  );
  if (result < 0 && failedWith('EINVAL')) return false;
  check(result, 'fsconfig', value);
  return true;
}

function set(fd: number, key: string, value: string, path: string): void {
  if (!configure(fd, key, value)) throw invalid(key, path);
}

function invalid(key: string, path: string): BuildError {
  return new BuildError('sandbox', `the kernel does not take ${path} as overlay ${key.replace('+', '')}`);
}

/** @returns undefined when the kernel does not take the settings together */
function create(fd: number): number | undefined {
  const config = declareC(
    'long syscall(long nr, int fd, uint command, const void *key, const void *value, int aux)',
  );
  const created = config(NR.fsconfig, fd, SET.create, null, null, 0);
  // Before Linux 6.5, settings were collected unseen.
  if (created < 0 && failedWith('EINVAL')) return undefined;
  check(created, 'fsconfig', 'overlay');
  const mount = declareC('long syscall(long nr, int fd, uint flags, uint attributes)');
  return check(mount(NR.fsmount, fd, CLOEXEC, 0), 'fsmount', 'overlay');
}

/**
 * The interface of old: one page of options. The directories are given short names next to each other and the mount is
 * made from there, so that 500 of them fit.
 */
function mountClassic(options: OverlayOptions): void {
  const names = mkdtempSync(join(options.scratch, 'names-'));
  const getCwd = process.cwd();
  const change = declareC('int chdir(const void *path)');
  const link = (path: string, name: string): string => {
    symlinkSync(path, join(names, name));
    return name;
  };
  try {
    const lowers = [...options.lowers].reverse().map((lower, i) => link(lower, i.toString(36)));
    const layers = [`lowerdir=${lowers.join(':')}`];
    if (options.upper !== undefined) {
      layers.push(`upperdir=${link(options.upper.dir, 'u_')}`, `workdir=${link(options.upper.work, 'w_')}`);
    }
    check(change(cString(names)), 'chdir', names);
    mountWithSettings(options, layers.join(','));
  } finally {
    check(change(cString(getCwd)), 'chdir', getCwd);
    rmSync(names, { recursive: true, force: true });
  }
}

/** Older kernels know fewer settings and refuse the whole line; the plain one always means something. */
function mountWithSettings(options: OverlayOptions, layers: string): void {
  const wanted = settings(options).map(([key, value]) => (value === undefined ? key : `${key}=${value}`));
  const needed = wanted.filter(setting => setting === 'userxattr');
  let last: unknown;
  for (const extra of [wanted, wanted.filter(setting => setting !== 'volatile'), needed]) {
    try {
      rawMount('overlay', options.target, 'overlay', 0, [layers, ...extra].join(','));
      return;
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EINVAL') throw error;
      last = error;
    }
  }
  throw last;
}
