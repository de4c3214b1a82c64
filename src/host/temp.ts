// Directories and files that are private, temporary, or appear all at once.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';

/** A name that no other process picks: `prefix` and 16 random hex digits. */
export function temporaryName(prefix = ''): string {
  return prefix + randomBytes(8).toString('hex');
}

/** Creates the directory and its parents, each new one with mode 0700 whatever the umask says. One that exists is left as it is. */
export function makePrivateDir(path: string): void {
  const missing: string[] = [];
  for (let dir = path; !lstatSync(dir, { throwIfNoEntry: false }); dir = dirname(dir)) missing.unshift(dir);
  for (const dir of missing) {
    try {
      mkdirSync(dir, { mode: 0o700 });
      chmodSync(dir, 0o700); // a umask such as 0777 would have taken our own bits
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error; // another process was first
    }
  }
}

/** A new directory of mode 0700 below `parent`, removed with everything in it by `await using`. */
export async function makeTempDir(
  parent: string,
  prefix: string,
): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = join(parent, temporaryName(prefix));
  await mkdir(path, { mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}

/**
 * Removes a file or a directory with everything in it, without following links; nothing there is fine. Directories
 * that their owner cannot enter are opened up first. Names may be any bytes.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 2 });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes(errnoOf(error) ?? '')) throw error;
    await openUp(Buffer.from(path));
    await rm(path, { recursive: true, force: true });
  }
}

async function openUp(dir: Buffer): Promise<void> {
  const stat = await lstat(dir);
  if (!stat.isDirectory()) return;
  await chmod(dir, 0o700);
  for (const name of await readdir(dir, { encoding: 'buffer', withFileTypes: true })) {
    if (name.isDirectory()) {
      await openUp(Buffer.concat([dir, Buffer.from('/'), name.name as unknown as Buffer]));
    }
  }
}

/** Makes what was renamed or created in `dir` survive a power failure. */
export async function fsyncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Puts `bytes` at `path` at once: readers see the old file or the new one, also after a power failure.
 * @param mode of the new file, not reduced by the umask
 */
export function writeFileAtomically(path: string, bytes: string | Uint8Array, mode: number): void {
  const temporary = join(dirname(path), temporaryName('.tmp-'));
  try {
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeAll(fd, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
      chmodSync(temporary, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  const dir = openSync(dirname(path), 'r');
  try {
    fsyncSync(dir);
  } finally {
    closeSync(dir);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}
