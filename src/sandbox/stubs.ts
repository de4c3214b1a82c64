// Places to mount on that a root file system does not have: made before a step, taken away after it when nobody has used
// them meanwhile, so that they never get into a layer.
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { BuildError, errnoOf, printable } from '../errors.ts';
import { setMtime } from '../host/times.ts';
import { inDirectory, openLiteral, openRoot, walkInRoot, withLiteral } from './in-root.ts';

interface Stub {
  /** Literal path of the directory it is in. */
  readonly parent: string;
  readonly name: string;
  readonly kind: 'directory' | 'file';
  readonly mode: number;
  readonly inode: bigint;
  readonly device: bigint;
}

/** Where something is to be mounted. */
export interface MountPoint {
  /** Absolute, as text. */
  readonly path: string;
  readonly isFile: boolean;
  /** Of a directory, should it have to be made; default 0o755. */
  readonly mode?: number;
}

export interface Stubs {
  /** The same places with no symlink in them, in the order asked for. */
  readonly resolved: readonly string[];
  /** Removes what was made and is still as it was made. Idempotent. */
  remove(): void;
}

/**
 * Makes the mount points that are missing.
 * @throws BuildError `hostile` when /proc, /sys or /dev is something other than a directory, or a place is of the wrong kind
 */
export function makeStubs(rootfs: string, points: readonly MountPoint[]): Stubs {
  const root = openRoot(rootfs);
  const made: Stub[] = [];
  const times = new Map<string, ParentTimes>();
  const remove = () => {
    const open = openRoot(rootfs);
    try {
      removeStubs(open, made.splice(0).reverse(), times);
    } finally {
      closeSync(open);
    }
  };
  try {
    for (const name of ['proc', 'sys', 'dev']) checkKernelDirectory(root, name);
    const resolved = points.map(point => makeOne(root, point, made, times));
    for (const [path, entry] of times) entry.after = mtimeAt(root, path);
    return { resolved, remove };
  } catch (error) {
    remove();
    throw error;
  } finally {
    closeSync(root);
  }
}

/** A directory's modification time before stubs were made in it, and right after. */
interface ParentTimes {
  readonly before: bigint;
  after?: bigint;
}

function checkKernelDirectory(root: number, name: string): void {
  const stat = lstatSync(inDirectory(root, name), { throwIfNoEntry: false });
  if (stat === undefined || stat.isDirectory()) return;
  const what = stat.isSymbolicLink() ? 'a symbolic link' : 'no directory';
  throw new BuildError('hostile', `nothing can be run in this image: its /${name} is ${what}`);
}

function makeOne(root: number, point: MountPoint, made: Stub[], times: Map<string, ParentTimes>): string {
  const end = walkInRoot(root, Buffer.from(point.path).toString('latin1'), (fd, name, path, last) => {
    const parent = path.slice(0, Math.max(0, path.length - name.length - 1));
    if (isBelowDev(path)) return point.isFile && last ? 'other' : 'directory';
    if (!times.has(parent)) times.set(parent, { before: mtimeOf(fd) });
    const kind = point.isFile && last ? 'file' : 'directory';
    const mode = kind === 'file' ? 0o644 : last ? (point.mode ?? 0o755) : 0o755;
    made.push(createStub(fd, parent, name, kind, mode));
    return kind === 'file' ? 'other' : 'directory';
  });
  const isFile = end.kind !== 'directory';
  if (isFile !== point.isFile) {
    const [is, wanted] = isFile ? ['no directory', 'a directory'] : ['a directory', 'a file'];
    throw new BuildError(
      'run',
      `${printable(point.path)} is ${is} in the image, but ${wanted} is mounted there`,
    );
  }
  return `/${Buffer.from(end.path, 'latin1').toString()}`;
}

/** /dev is a file system of its own while a step runs, so nothing has to be made there. */
function isBelowDev(path: string): boolean {
  return path.startsWith('dev/');
}

function createStub(fd: number, parent: string, name: string, kind: Stub['kind'], mode: number): Stub {
  const at = inDirectory(fd, name);
  if (kind === 'directory') {
    mkdirSync(at);
  } else {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    closeSync(openSync(at, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o644));
  }
  chmodSync(at, mode); // whatever the umask is
  const stat = lstatSync(at, { bigint: true });
  return { parent, name, kind, mode, inode: stat.ino, device: stat.dev };
}

function removeStubs(root: number, stubs: readonly Stub[], times: ReadonlyMap<string, ParentTimes>): void {
  const untouched = new Set<string>();
  for (const [path, entry] of times) {
    if (entry.after !== undefined && mtimeAt(root, path) === entry.after) untouched.add(path);
  }
  for (const stub of stubs) removeOne(root, stub);
  for (const path of untouched) {
    const before = times.get(path)?.before;
    if (before !== undefined) restoreMtime(root, path, before);
  }
}

function removeOne(root: number, stub: Stub): void {
  try {
    withLiteral(root, stub.parent, fd => {
      const at = inDirectory(fd, stub.name);
      const stat = lstatSync(at, { bigint: true, throwIfNoEntry: false });
      if (stat === undefined || !isUntouched(stat, stub)) return;
      if (stub.kind === 'directory') rmdirSync(at);
      else unlinkSync(at);
    });
  } catch (error) {
    // The step replaced a parent by something else, or put something in: then it is the step's and stays.
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTEMPTY', 'EXDEV'].includes(errnoOf(error) ?? '')) throw error;
  }
}

const own = BigInt(process.geteuid?.() ?? 0);

function isUntouched(stat: BigIntStats, stub: Stub): boolean {
  if (stat.ino !== stub.inode || stat.dev !== stub.device || stat.uid !== own) return false;
  const mode = Number(stat.mode & 0o7777n);
  if (stub.kind === 'directory') return stat.isDirectory() && mode === stub.mode;
  return stat.isFile() && stat.size === 0n && stat.nlink === 1n;
}

function mtimeOf(fd: number): bigint {
  return statSync(`/proc/self/fd/${fd}`, { bigint: true }).mtimeNs;
}

function mtimeAt(root: number, path: string): bigint | undefined {
  try {
    return withLiteral(root, path, mtimeOf);
  } catch {
    return undefined;
  }
}

function restoreMtime(root: number, path: string, mtimeNs: bigint): void {
  let fd: number;
  try {
    fd = openLiteral(root, path);
  } catch {
    return; // it was itself a stub, and is gone
  }
  try {
    setMtime(`/proc/self/fd/${fd}`, mtimeNs);
  } finally {
    closeSync(fd);
  }
}
