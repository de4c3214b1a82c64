// The file system of an image as files in a directory. Everything is written into a fresh directory that only we can
// enter; when that is complete its content is moved into place by renaming, which follows no link that stands there.
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  type Stats,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { BuildError, printable } from '../errors.ts';
import { removeTree, temporaryName } from '../host/temp.ts';
import type { LayerInput } from '../tree/entry.ts';
import { outputFailure, removeEmpty } from './destination.ts';
import type { ExportInput } from './finished-image.ts';
import { FileWriter } from './local-files.ts';
import type { OutputSpec } from './output-spec.ts';
import { fileSystemOf } from './tar.ts';
import type { ExportTools, Receipt } from './tools.ts';

/**
 * Files belong to the caller, keep mode and time, and replace files of the same name; what is in the directory besides
 * stays, unless it is to be deleted: then it is moved aside first, and back again when something fails. Owners and extended attributes are lost (a tar has them), as they are with docker.
 * @throws BuildError `output` also where a file would replace a directory or the other way round; nothing has changed then
 */
export async function exportLocal(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'local' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  const dest = resolve(tools.cwd, spec.dest);
  const files = await fileSystemOf(input, tools, signal);
  const stage = join(dest, temporaryName('.slipway-'));
  let firstMade: string | undefined;
  try {
    firstMade = await mkdir(dest, { recursive: true });
    mkdirSync(stage, { mode: 0o700 });
    writeAll(files, stage, signal);
    if (spec.mode === 'delete') await replaceAll(stage, dest);
    else {
      for (const move of conflicts(Buffer.from(stage), Buffer.from(dest))) throw inTheWay(move);
      moveInto(Buffer.from(stage), Buffer.from(dest));
    }
    rmdirSync(stage);
  } catch (error) {
    await removeTree(stage);
    await removeEmpty(dest, firstMade);
    if (signal.aborted) throw error;
    throw outputFailure(error, dest);
  }
  return { to: [dest] };
}

/** The content of `stage` in place of everything else in `dest`, which it is in itself. */
async function replaceAll(stage: string, dest: string): Promise<void> {
  const aside = join(dest, temporaryName('.slipway-'));
  mkdirSync(aside, { mode: 0o700 });
  const own = [basename(stage), basename(aside)].map(name => Buffer.from(name));
  const [from, to] = [Buffer.from(dest), Buffer.from(aside)];
  const moveAll = (a: Buffer, b: Buffer) => {
    for (const name of namesIn(a).filter(each => !own.some(mine => mine.equals(each)))) {
      renameSync(child(a, name), child(b, name));
    }
  };
  let isFree = false;
  try {
    moveAll(from, to);
    isFree = true;
    moveInto(Buffer.from(stage), from);
  } catch (error) {
    // Before that, what is there is the user's.
    if (isFree) moveAll(from, Buffer.from(stage));
    moveAll(to, from);
    rmdirSync(aside);
    throw error;
  }
  await removeTree(aside);
}

function writeAll(files: readonly LayerInput[], stage: string, signal: AbortSignal): void {
  const writer = new FileWriter(stage, process.geteuid?.());
  try {
    for (const file of files) {
      if (signal.aborted) throw signal.reason;
      writer.write(file);
    }
    writer.finish();
  } finally {
    writer.close();
  }
}

function inTheWay(path: Buffer): BuildError {
  return new BuildError(
    'output',
    `${printable(path.toString())} exists and is ${statOf(path)?.isDirectory() ? 'a directory' : 'no directory'}, the image has it the other way round`,
    { hint: 'choose another directory, or remove it', facts: { path: path.toString() } },
  );
}

function child(dir: Buffer, name: Buffer): Buffer {
  return Buffer.concat([dir, Buffer.from('/'), name]);
}

function namesIn(dir: Buffer): Buffer[] {
  return readdirSync(dir, { encoding: 'buffer' }) as Buffer[];
}

function statOf(path: Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Paths at the destination that are a directory where the image has none, or the other way round. A link is no directory. */
function* conflicts(from: Buffer, to: Buffer): Iterable<Buffer> {
  for (const name of namesIn(from)) {
    const target = child(to, name);
    const there = statOf(target);
    if (!there) continue;
    const isDirectory = statOf(child(from, name))?.isDirectory() ?? false;
    if (isDirectory !== there.isDirectory()) yield target;
    else if (isDirectory) yield* conflicts(child(from, name), target);
  }
}

/** Directories are opened up while they are moved: their own mode may forbid changing them. */
function moveInto(from: Buffer, to: Buffer): void {
  for (const name of namesIn(from)) {
    const source = child(from, name);
    const target = child(to, name);
    const stat = statOf(source);
    const isDirectory = stat?.isDirectory() ?? false;
    if (isDirectory) chmodSync(source, 0o700);
    if (isDirectory && statOf(target)) {
      moveInto(source, target);
      rmdirSync(source);
    } else {
      renameSync(source, target);
    }
    if (stat && isDirectory) {
      lutimesSync(target, stat.atime, stat.mtime);
      chmodSync(target, stat.mode & 0o7777);
    }
  }
}
