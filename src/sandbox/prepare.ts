// What every rung does around a step: checks the request, generates files, makes mount points, opens what is to be
// mounted, and takes it all away afterwards.
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { bindMount, type MountTarget, mountsBelow, mountTmpfs, unmount } from '../host/mount.ts';
import { findDevices } from './devices.ts';
import { hostResolvConf, hostsFile, resolvConf } from './files.ts';
import { givenMounts, makeDevice } from './given.ts';
import { inDirectory, makeDirectory, openRoot, walkInRoot, withLiteral } from './in-root.ts';
import { explainPlace } from './outcome.ts';
import { makeRunDirectory } from './runtime-directory.ts';
import type { SandboxMount, SandboxRequest } from './sandbox.ts';
import { makeStubs } from './stubs.ts';

const O_PATH = 0o10000000;
/** MAX_ARG_STRLEN of the kernel: longest argument or variable, with its end mark. */
const LONGEST_STRING = 128 << 10;
/** What the kernel gives arguments and environment of a process whose stack may be 8 MiB. */
const ALL_STRINGS = 2 << 20;

/** A mount with its place resolved and its source held fast. */
export interface PreparedMount {
  readonly kind: SandboxMount['kind'];
  /** A path in the private directory that shows the source (bind). */
  readonly source: string | undefined;
  /** Absolute, no symlink in it. */
  readonly target: string;
  readonly readonly: boolean;
  readonly size: number | undefined;
  /** tmpfs: that of the directory it is mounted on. */
  readonly mode: number | undefined;
  readonly isDevice: boolean;
  readonly noexec: boolean;
}

export interface Prepared {
  /** A directory of this run alone, mode 0700. */
  readonly dir: string;
  /** Parents before what is below them. */
  readonly mounts: readonly PreparedMount[];
  /** Takes away mount points and the private directory. Idempotent. */
  remove(): void;
}

/** Directories that the kernel's own file systems are mounted on. */
export const kernelPoints = ['/proc', '/sys', '/dev'];

/**
 * Gets everything ready for a run.
 * @throws BuildError `run`, `hostile` or `sandbox`
 */
export function prepareRun(request: SandboxRequest): Prepared {
  checkSizes(request);
  const dir = makeRunDirectory();
  const held: string[] = [];
  let stubs: ReturnType<typeof makeStubs> | undefined;
  const remove = () => {
    stubs?.remove();
    stubs = undefined;
    for (const path of held.splice(0)) unmount(path);
    // Should anything still be mounted there, it is not ours to delete.
    if (mountsBelow(dir).length === 0) rmSync(dir, { recursive: true, force: true });
  };
  try {
    const wanted = withDevices([...generatedMounts(request, dir), ...mountsOf(request)], dir, held);
    const outer = wanted.filter(mount => outermost(mount, wanted) === mount);
    stubs = makeStubs(request.rootfs, [
      ...kernelPoints.map(path => ({ path, isFile: false })),
      ...outer.map(mount => ({
        path: mount.target,
        isFile: mount.isFile === true,
        ...(mount.kind === 'tmpfs' ? { mode: newTmpfs } : {}),
      })),
    ]);
    const targets = stubs.resolved.slice(kernelPoints.length);
    const mounts = outer.map((mount, i) => {
      const target = checkTarget(targets[i] ?? '/', mount);
      const inner = wanted.filter(each => each !== mount && outermost(each, wanted) === mount);
      if (mount.kind === 'tmpfs' && inner.length === 0) return tmpfsOn(request.rootfs, mount, target);
      const prepared = hold(mount, target, dir, held, request.rootfs);
      for (const each of inner) mountWithin(prepared, mount, each);
      return prepared;
    });
    ensureCwd(request, targets);
    return { dir, mounts, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Makes the device files that are described, in a file system of their own: in others they could not be opened. */
function withDevices(mounts: readonly SandboxMount[], dir: string, held: string[]): readonly SandboxMount[] {
  if (mounts.every(({ newDevice }) => newDevice === undefined)) return mounts;
  const place = join(dir, 'devices');
  mkdirSync(place);
  mountTmpfs(place, { nosuid: true, noexec: true, mode: 0o700 });
  held.push(place);
  return mounts.map((mount, i) => {
    if (mount.newDevice === undefined) return mount;
    const source = join(place, String(i));
    makeDevice(mount.newDevice, source);
    return { ...mount, source };
  });
}

/** Writes the files that every step gets into `dir`. */
export function generatedMounts(request: SandboxRequest, dir: string): readonly SandboxMount[] {
  const files = {
    '/etc/resolv.conf': resolvConf(hostResolvConf(), request.network, request.dns),
    '/etc/hosts': hostsFile(request),
  };
  return Object.entries(files).map(([target, text]) => {
    const source = join(dir, target.replace('/etc/', ''));
    writeFileSync(source, text, { mode: 0o644 });
    return { kind: 'bind', source, target, readonly: true, isFile: true };
  });
}

/**
 * Mounts and devices, parents before what is below them.
 * @param canMake device files that are described can be made in this rung
 * @throws BuildError `usage` for a device that is gone
 */
export function mountsOf(request: SandboxRequest, canMake = true): readonly SandboxMount[] {
  const devices = findDevices(request.devices).map(({ source, target }) => ({
    ...({ kind: 'bind', source, target, readonly: false, isFile: true, isDevice: true } as const),
  }));
  return byDepth([...request.mounts, ...devices, ...givenMounts(request, canMake)]);
}

function byDepth(mounts: readonly SandboxMount[]): readonly SandboxMount[] {
  const depth = (mount: SandboxMount) => mount.target.split('/').filter(Boolean).length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
}

/** @throws BuildError `run` for a place that is not free */
export function checkTarget(target: string, mount: SandboxMount): string {
  const top = kernelPoints.find(point => target === point || target.startsWith(`${point}/`));
  const taken = target === '/' || target === '/dev' || (top !== undefined && top !== '/dev');
  if (!taken) return target;
  const name = printable(mount.target);
  const where = target === mount.target ? '' : `, which is ${printable(target)} in the image`;
  throw new BuildError('run', `nothing can be mounted on ${name}${where}`);
}

const plain = { isDevice: false, noexec: false } as const;

/** Mode of a tmpfs on a directory that the image does not have. */
const newTmpfs = 0o1777;

/** A tmpfs looks like the directory it hides, which runc sees to by itself since 1.2 and before (1.1) only in part. */
function tmpfsOn(rootfs: string, mount: SandboxMount, target: string): PreparedMount {
  const { kind, readonly, size } = mount;
  const root = openRoot(rootfs);
  try {
    const below = Buffer.from(target.slice(1)).toString('latin1');
    const mode = withLiteral(root, below, fd => statSync(`/proc/self/fd/${fd}`).mode & 0o7777);
    return { kind, target, readonly, size, mode, source: undefined, ...plain };
  } catch (error) {
    // Places in /dev are made later, in a /dev that is ours.
    if (errnoOf(error) !== 'ENOENT') throw error;
    return { kind, target, readonly, size, mode: newTmpfs, source: undefined, ...plain };
  } finally {
    closeSync(root);
  }
}

/**
 * Opens the source once, without following a symlink at its end, and shows it in the private directory. Whatever is
 * swapped behind its name afterwards, the runtime mounts what was checked.
 */
function hold(
  mount: SandboxMount,
  target: string,
  dir: string,
  held: string[],
  rootfs: string,
): PreparedMount {
  const { readonly, isDevice = false, noexec = false } = mount;
  const place = join(dir, `m${held.length}`);
  if (mount.isFile) writeFileSync(place, '');
  else mkdirSync(place);
  putOn(place, mount, mount.kind === 'tmpfs' ? tmpfsOn(rootfs, mount, target).mode : undefined);
  held.push(place);
  return {
    kind: 'bind',
    target,
    readonly,
    size: undefined,
    mode: undefined,
    source: place,
    isDevice,
    noexec,
  };
}

/** @param mode of a tmpfs @throws BuildError `sandbox` */
function putOn(place: MountTarget, mount: SandboxMount, mode = newTmpfs): void {
  const { readonly, source } = mount;
  if (mount.kind === 'tmpfs') {
    const size = mount.size === undefined ? {} : { size: mount.size };
    mountTmpfs(place, { nosuid: true, nodev: true, mode, readonly, ...size });
    return;
  }
  if (source === undefined) throw new BuildError('internal', 'a bind mount needs a source');
  const fd = openSource(source, mount.isFile === true);
  try {
    bindMount(fd, place, { readonly, nosuid: true, nodev: !mount.isDevice, noexec: mount.noexec ?? false });
  } catch (error) {
    const name = printable(source);
    throw new BuildError('sandbox', `${name} cannot be mounted: ${messageOf(error)}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/** The mount that a mount lies in, itself when it lies in none. Parents come before what is below them. */
function outermost(mount: SandboxMount, all: readonly SandboxMount[]): SandboxMount {
  return all.find(each => each === mount || mount.target.startsWith(`${each.target}/`)) ?? mount;
}

/**
 * Mounts within what is mounted, before anybody else can look: what lies there may belong to other steps too, which could
 * lead a runtime astray that goes by paths.
 */
function mountWithin(outer: PreparedMount, parent: SandboxMount, mount: SandboxMount): void {
  const root = openRoot(outer.source ?? '');
  try {
    const { path, isNew } = makePlaceWithin(root, mount, parent);
    withLiteral(root, path, fd => {
      putOn(fd, mount, isNew ? newTmpfs : statSync(`/proc/self/fd/${fd}`).mode & 0o7777);
    });
  } catch (error) {
    throw errnoOf(error) === 'EROFS' ? noPlace(mount, parent) : explainPlace(error);
  } finally {
    closeSync(root);
  }
}

/**
 * Finds the place of a mount that lies in another. One that is missing is made, and stays.
 * @param root what is mounted by `parent`, opened
 * @returns a literal path below root
 */
export function makePlaceWithin(
  root: number,
  { target, isFile }: SandboxMount,
  parent: Pick<SandboxMount, 'target'>,
): { readonly path: string; readonly isNew: boolean } {
  const wanted = Buffer.from(target.slice(parent.target.length)).toString('latin1');
  let isNew = false;
  const { path } = walkInRoot(root, wanted, (fd, name, below, last) => {
    isNew = true;
    if (!last || isFile !== true) return makeDirectory(fd, name, below, last);
    writeFileSync(inDirectory(fd, name), '', { flag: 'wx' });
    return 'other';
  });
  return { path, isNew };
}

function noPlace(mount: SandboxMount, parent: SandboxMount): BuildError {
  const [name, where] = [printable(mount.target), printable(parent.target)];
  return new BuildError(
    'run',
    `nothing can be mounted on ${name}: it is not there in the mount on ${where}`,
    {
      hint: `that mount is read-only: add rw to it, or make the place in its source`,
    },
  );
}

/** Opens (O_PATH) without following a symlink at the end. @throws BuildError `sandbox` */
export function openSource(source: string, isFile: boolean): number {
  const refuse = (why: string, cause?: unknown) =>
    new BuildError('sandbox', `${printable(source)} cannot be mounted: ${why}`, { cause });
  let fd: number;
  try {
    fd = openSync(source, O_PATH | constants.O_NOFOLLOW | (isFile ? 0 : constants.O_DIRECTORY));
  } catch (error) {
    const known = { ENOENT: 'it does not exist', ENOTDIR: 'it is no directory', ELOOP: isLink };
    throw refuse(known[errnoOf(error) as keyof typeof known] ?? messageOf(error), error);
  }
  // With O_PATH a link is opened itself.
  if (!fstatSync(fd).isSymbolicLink()) return fd;
  closeSync(fd);
  throw refuse(isLink);
}

const isLink = 'it is a symbolic link';

/**
 * The working directory is made when it is missing, and must not lead into /proc, whose links lead out of the root.
 * @param targets where something is mounted: nothing is made below
 */
export function ensureCwd(request: SandboxRequest, targets: readonly string[]): void {
  const root = openRoot(request.rootfs);
  const cwd = printable(request.cwd);
  try {
    const end = walkInRoot(root, Buffer.from(request.cwd).toString('latin1'), (fd, name, path, last) =>
      targets.some(target => `/${path}`.startsWith(`${target}/`)) || fd === -1
        ? 'directory'
        : makeDirectory(fd, name, path, last),
    );
    if (end.kind !== 'directory') throw new BuildError('run', `the working directory ${cwd} is no directory`);
    if (/^(proc|sys)(\/|$)/.test(end.path)) {
      throw new BuildError('hostile', `the working directory ${cwd} is in /proc or /sys`);
    }
  } finally {
    closeSync(root);
  }
}

/** @throws BuildError `run` for what execve(2) would refuse */
export function checkSizes(request: SandboxRequest): void {
  const strings = [...request.argv, ...request.env];
  const longest = strings.reduce((most, text) => Math.max(most, Buffer.byteLength(text) + 1), 0);
  const all = strings.reduce((sum, text) => sum + Buffer.byteLength(text) + 1 + 8, 0);
  if (longest <= LONGEST_STRING && all <= ALL_STRINGS) return;
  const [size, limit] = longest > LONGEST_STRING ? [longest, LONGEST_STRING] : [all, ALL_STRINGS];
  throw new BuildError(
    'run',
    `the command and its environment are too large for the kernel (${size} > ${limit} bytes)`,
    {
      hint: 'put long scripts into a file and COPY it',
    },
  );
}
