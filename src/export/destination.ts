// Where an output file goes. A file appears under its name when it is complete: until then it has a temporary name in
// the same directory, and a file that was there stays as it was.
import { randomBytes } from 'node:crypto';
import { constants, createWriteStream, realpathSync, type Stats, statSync } from 'node:fs';
import { access, mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { Writable } from 'node:stream';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { fsyncDir } from '../host/temp.ts';
import type { OutputSpec } from './output-spec.ts';
import type { ExportTools } from './tools.ts';

export interface Destination {
  /** To be written and ended. */
  readonly stream: Writable;
  /** Absolute path, or `-`. */
  readonly to: string;
  /** Makes the file appear, after the stream was ended. @throws BuildError `output` */
  commit(): Promise<void>;
  /** Without commit: nothing is left. */
  [Symbol.asyncDispose](): Promise<void>;
}

type DestinationTools = Pick<ExportTools, 'cwd' | 'stdout' | 'stdoutIsTerminal'>;

/** What lets an output delete files outside of the working directory. */
export const deleteEntitlement = 'buildx.local.delete';

/**
 * Refuses destinations that cannot work, before any work is done: a terminal, a directory in place of a file and the
 * other way round, a directory that cannot be written. Nothing is written.
 * @throws BuildError `usage` or `output`
 */
export async function checkDestination(
  spec: OutputSpec,
  tools: DestinationTools & { readonly allow?: ReadonlySet<string> },
): Promise<void> {
  if (spec.kind !== 'docker' && spec.kind !== 'oci' && spec.kind !== 'tar' && spec.kind !== 'local') return;
  if (spec.dest === '-') return refuseTerminal(tools);
  const path = resolve(tools.cwd, spec.dest);
  const wantsDirectory = spec.kind === 'local' || (spec.kind === 'oci' && !spec.tar);
  if (spec.kind === 'local' && spec.mode === 'delete' && !tools.allow?.has(deleteEntitlement)) {
    refuseOutside(path, tools.cwd);
  }
  const stat = statOf(path);
  if (stat && wantsDirectory !== stat.isDirectory()) throw wrongKind(path, wantsDirectory, spec.kind);
  const place = wantsDirectory ? path : dirname(path);
  if (stat && !wantsDirectory && isSpecial(path, stat)) return;
  try {
    await access(nearestExisting(place), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw outputFailure(error, place);
  }
}

/** A directory whose other files go away lies below the working directory, links followed. @throws BuildError `usage` */
function refuseOutside(path: string, cwd: string): void {
  const place = nearestExisting(path);
  const real = join(realpathSync(place), relative(place, path));
  const below = relative(realpathSync(cwd), real);
  if (below !== '' && below !== '..' && !below.startsWith('../') && !isAbsolute(below)) return;
  throw new BuildError('usage', `mode=delete would delete what else is in ${printable(real)}`, {
    hint: `name a directory below the current one, or pass --allow ${deleteEntitlement}`,
  });
}

function wrongKind(path: string, wantsDirectory: boolean, kind: string): BuildError {
  return wantsDirectory
    ? new BuildError('usage', `the output ${printable(path)} is not a directory`, {
        hint: kind === 'oci' ? 'leave out tar=false to write a tar file' : 'use type=tar to write a file',
      })
    : new BuildError('usage', `the output ${printable(path)} is a directory`, {
        hint: kind === 'oci' ? 'name a file, or add tar=false to write a directory' : 'name a file',
      });
}

function refuseTerminal(tools: DestinationTools): void {
  if (!tools.stdoutIsTerminal) return;
  throw new BuildError('usage', 'an archive is not written to a terminal', {
    hint: 'add dest=FILE, or redirect standard output',
  });
}

/** undefined when nothing is there. @throws BuildError `output` */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw outputFailure(error, path);
  }
}

/** A pipe or device is written to as it is; so is what the kernel shows of an open file. */
function isSpecial(path: string, stat: Stats): boolean {
  return !stat.isFile() || /^\/(?:dev|proc)\//.test(path);
}

function nearestExisting(path: string): string {
  let place = path;
  while (!statOf(place) && dirname(place) !== place) place = dirname(place);
  return place;
}

/** @throws BuildError `usage`, `output` */
export async function openDestination(dest: string, tools: DestinationTools): Promise<Destination> {
  if (dest === '-') {
    refuseTerminal(tools);
    return { ...unnamed(borrowed(tools.stdout)), to: '-' };
  }
  const path = resolve(tools.cwd, dest);
  const stat = statOf(path);
  if (stat?.isDirectory()) throw wrongKind(path, false, 'file');
  if (stat && isSpecial(path, stat)) return { ...unnamed(createWriteStream(path, { flags: 'w' })), to: path };
  return openFile(path);
}

function unnamed(stream: Writable): Omit<Destination, 'to'> {
  return {
    stream,
    commit: async () => {},
    [Symbol.asyncDispose]: async () => {
      stream.destroy();
    },
  };
}

/** Writes to a stream that is not ours to end. */
function borrowed(target: Writable): Writable {
  const stream = new Writable({ write: (chunk, _encoding, done) => void target.write(chunk, done) });
  // Stays: the target tells of its error after the write has failed, when nobody is waiting any more.
  target.on('error', error => stream.destroy(error));
  return stream;
}

async function openFile(path: string): Promise<Destination> {
  const dir = dirname(path);
  const temporary = join(dir, `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`);
  let firstMade: string | undefined;
  try {
    firstMade = await mkdir(dir, { recursive: true });
    await (await open(temporary, 'wx')).close();
  } catch (error) {
    await removeEmpty(dir, firstMade);
    throw outputFailure(error, path);
  }
  const stream = createWriteStream(temporary, { flags: 'r+' });
  let committed = false;
  return {
    stream,
    to: path,
    async commit() {
      try {
        const file = await open(temporary, 'r');
        try {
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
        committed = true;
        await fsyncDir(dir);
      } catch (error) {
        throw outputFailure(error, path);
      }
    },
    async [Symbol.asyncDispose]() {
      if (committed) return;
      await closed(stream);
      await rm(temporary, { force: true });
      await removeEmpty(dir, firstMade);
    },
  };
}

function closed(stream: Writable): Promise<void> {
  return new Promise(done => {
    if (stream.closed) return done();
    stream.once('close', done);
    stream.on('error', () => {});
    stream.destroy();
  });
}

/** Removes the directories that were made for the output, from `dir` up to `first`, as far as they are empty. */
export async function removeEmpty(dir: string, first: string | undefined): Promise<void> {
  if (first === undefined) return;
  for (let at = dir; at.startsWith(first); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return; // somebody put something there, or it is gone
    }
  }
}

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk of the destination is full',
  EDQUOT: 'the disk quota at the destination is used up',
  EROFS: 'the destination is on a read-only file system',
  EACCES: 'choose a directory that you may write to',
  EPIPE: 'the program that reads the output ended early',
};

/** A BuildError `output` for a failed write; a BuildError is handed back as it is. */
export function outputFailure(error: unknown, to: string): unknown {
  if (error instanceof BuildError) return error;
  const errno = errnoOf(error);
  if (errno === undefined || errno.startsWith('ERR_')) return error;
  const hint = hints[errno];
  const where = to === '-' ? 'standard output' : printable(to);
  return new BuildError('output', `${where} cannot be written: ${messageOf(error)}`, {
    cause: error,
    facts: { path: to, errno },
    ...(hint === undefined ? {} : { hint }),
  });
}
