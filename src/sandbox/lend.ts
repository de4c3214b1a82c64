// Mounts where nothing can be mounted: what a step is lent is put in its place in the root file system, what was there is
// kept aside, and after the step everything is as it was. For a rung that has no mount rights; it costs copies.
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { openFlags, readLinkOf } from '../host/fs-calls.ts';
import { setMtime } from '../host/times.ts';
import { deviceNumbers } from './devices.ts';
import { makeDevice } from './given.ts';
import { makeDirectory, openRoot, walkInRoot, withLiteral } from './in-root.ts';
import { openSource } from './prepare.ts';
import type { SandboxMount } from './sandbox.ts';

const S_IFMT = 0o170000;
const S_IFBLK = 0o060000;

export interface Lent {
  /**
   * Puts everything back. Idempotent.
   * @throws BuildError `run` when the step has moved a place away, and what it was lent may be left anywhere in the tree
   */
  giveBack(): void;
}

/** Fills a place that is free with what belongs there; gives back how to clear it again, which is told the place anew. */
export type Fill = (place: string) => (place: string) => void;

export interface Loan {
  /** Literal path in the root file system, absolute. */
  readonly target: string;
  readonly fill: Fill;
}

/**
 * @param rootfs on one file system with the directory that it is in, which is private
 * @param loans parents before what is below them; each target exists
 */
export function lend(rootfs: string, loans: readonly Loan[]): Lent {
  const aside = mkdtempSync(join(dirname(rootfs), 'aside-'));
  const undo: (() => void)[] = [];
  const giveBack = () => {
    const errors = undo
      .splice(0)
      .reverse()
      .flatMap(each => {
        try {
          each();
          return [];
        } catch (error) {
          return [error];
        }
      });
    rmSync(aside, { recursive: true, force: true });
    if (errors.length > 0) throw moved(errors[0]);
  };
  try {
    loans.forEach((loan, i) => {
      ensurePlace(rootfs, loan.target);
      undo.push(lendOne(rootfs, loan, join(aside, String(i))));
    });
    return { giveBack };
  } catch (error) {
    giveBack();
    throw error;
  }
}

function moved(cause: unknown): unknown {
  const swapped = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV'].includes(errnoOf(cause) ?? '');
  return swapped ? tookAway(cause) : cause;
}

function tookAway(cause?: unknown): BuildError {
  return new BuildError('run', 'the step has moved a directory that it was lent, or one around it', {
    hint: 'nothing is really mounted with --isolation=chroot; run as root with CAP_SYS_ADMIN, or rootless (slipway info)',
    cause,
  });
}

/**
 * A place within something that was lent before may be missing there; it is made, and stays.
 * @throws BuildError `run` when there is a link on the way, whose target somebody else may use at the same time
 */
function ensurePlace(rootfs: string, target: string): void {
  const root = openRoot(rootfs);
  try {
    const wanted = Buffer.from(target.slice(1)).toString('latin1');
    const { path } = walkInRoot(root, `/${wanted}`, makeDirectory);
    if (path === wanted) return;
    const where = printable(`/${Buffer.from(path, 'latin1').toString()}`);
    throw new BuildError(
      'run',
      `nothing can be mounted on ${printable(target)}: a link in the mount around it leads to ${where}`,
      { hint: 'links in a mount can be followed with --isolation=oci or namespace (slipway info)' },
    );
  } finally {
    closeSync(root);
  }
}

/** Every path goes through the parent's descriptor: a step that swaps a directory for a link leads nowhere. */
function lendOne(rootfs: string, { target, fill }: Loan, kept: string): () => void {
  const parent = dirname(target).slice(1);
  const name = target.slice(target.lastIndexOf('/') + 1);
  const inParent = <T>(use: (place: string, fd: number) => T): T => {
    const root = openRoot(rootfs);
    try {
      const literal = Buffer.from(parent).toString('latin1');
      return withLiteral(root, literal, fd => use(`/proc/self/fd/${fd}/${name}`, fd));
    } finally {
      closeSync(root);
    }
  };
  const mtime = (fd: number) => statSync(`/proc/self/fd/${fd}`, { bigint: true }).mtimeNs;
  return inParent((place, fd) => {
    const before = mtime(fd);
    renameSync(place, kept);
    const clear = fill(place);
    const after = mtime(fd);
    return () => {
      inParent((again, parentFd) => {
        const untouched = mtime(parentFd) === after;
        clear(again);
        rmSync(again, { recursive: true, force: true });
        renameSync(kept, again);
        if (untouched) setMtime(`/proc/self/fd/${parentFd}`, before);
      });
    };
  });
}

/** What puts a mount of a request in its place. A writable directory is moved there and back, anything else copied. */
export function fillOf(mount: SandboxMount): Fill {
  const { source, newDevice } = mount;
  if (newDevice !== undefined) {
    return place => {
      makeDevice(newDevice, place);
      return () => {};
    };
  }
  if (mount.kind === 'tmpfs' || source === undefined) {
    return place => {
      mkdirSync(place);
      chmodSync(place, 0o1777);
      return () => {};
    };
  }
  if (mount.isDevice) return place => copyDevice(source, place);
  closeSync(openSource(source, mount.isFile === true));
  if (mount.isFile) {
    return place => {
      copySource(source, true, place);
      return () => {};
    };
  }
  if (mount.readonly) {
    return place => {
      copySource(source, false, place);
      return () => {};
    };
  }
  return place => {
    renameSync(source, place);
    const lent = lstatSync(place, { bigint: true });
    return again => {
      // The step may have put something else in its place, a link out of the store for instance.
      const there = lstatSync(again, { bigint: true, throwIfNoEntry: false });
      if (there?.dev !== lent.dev || there.ino !== lent.ino) throw tookAway();
      renameSync(again, source);
    };
  };
}

/** The same device at a second place. @throws BuildError `sandbox` where it cannot be made */
function copyDevice(source: string, place: string): () => void {
  const { mode, rdev, uid, gid } = statSync(source, { bigint: true });
  const type = (Number(mode) & S_IFMT) === S_IFBLK ? 'b' : 'c';
  const owner = { mode: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid) };
  makeDevice({ name: source, type, ...deviceNumbers(rdev), ...owner }, place);
  return () => {};
}

/**
 * Copies a file or tree with owners, modes and times; devices and the like are left out. Everything is opened once,
 * without following a link, and copied from there: whoever else writes to it cannot lead the copy elsewhere.
 * @throws BuildError `sandbox` for a source that is something else or changes meanwhile
 */
export function copySource(source: string, isFile: boolean, to: string): void {
  const fd = openSource(source, isFile);
  try {
    copyOpened(fd, Buffer.from(to));
  } catch (cause) {
    if (cause instanceof BuildError) throw cause;
    throw new BuildError('sandbox', `${printable(source)} cannot be copied: ${messageOf(cause)}`, { cause });
  } finally {
    closeSync(fd);
  }
}

/** @param fd of a file, directory or socket, opened without following a link */
function copyOpened(fd: number, to: Buffer): void {
  const stat = fstatSync(fd, { bigint: true });
  const from = `/proc/self/fd/${fd}`;
  if (stat.isFile()) copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  else if (stat.isDirectory()) {
    mkdirSync(to);
    for (const name of readdirSync(from, { encoding: 'buffer' })) {
      copyEntry(within(Buffer.from(from), name), within(to, name));
    }
  } else if (stat.isSocket()) {
    throw new BuildError('sandbox', 'an SSH agent cannot be lent to a step where nothing can be mounted', {
      hint: 'run as root with CAP_SYS_ADMIN, or rootless (slipway info)',
    });
  } else return;
  if (process.geteuid?.() === 0) lchownSync(to, Number(stat.uid), Number(stat.gid));
  chmodSync(to, Number(stat.mode & 0o7777n));
  setMtime(to, stat.mtimeNs, { nofollow: true });
}

function within(dir: Buffer, name: Buffer): Buffer {
  return Buffer.concat([dir, Buffer.from('/'), name]);
}

function copyEntry(from: Buffer, to: Buffer): void {
  const fd = openSync(from, openFlags.path | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isSymbolicLink()) {
      copyOpened(fd, to);
      return;
    }
    symlinkSync(Buffer.from(readLinkOf(fd), 'latin1'), to);
    if (process.geteuid?.() === 0) lchownSync(to, Number(stat.uid), Number(stat.gid));
    setMtime(to, stat.mtimeNs, { nofollow: true });
  } finally {
    closeSync(fd);
  }
}
