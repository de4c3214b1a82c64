// A program of this machine as a filter: bytes in, bytes out, with back pressure. For formats that neither Node nor a
// small library reads (xz, bzip2).
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { Writable } from 'node:stream';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { SystemError } from './ffi.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const stderrBytes = 4096;

/**
 * The absolute path of a program on PATH; directories that are not absolute are passed over, so that the current
 * directory (which may belong to somebody else's files) never counts.
 */
export function findProgram(name: string, path = process.env.PATH ?? defaultPath): string | undefined {
  for (const dir of path.split(':')) {
    if (!isAbsolute(dir)) continue;
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // not here
    }
  }
  return undefined;
}

/**
 * What `program` writes to stdout when `source` is its stdin. Ending the iteration early ends the program.
 * @param program absolute path
 * @throws BuildError `integrity` when it ends with another status than 0, with what it said; and what `source` throws
 */
export async function* filterThrough(
  source: AsyncIterable<Uint8Array>,
  program: string,
  args: readonly string[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: defaultPath, LC_ALL: 'C' },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < stderrBytes) said += chunk.toString('utf8');
  });
  const ended = new Promise<string>(resolve => {
    child.on('error', error => resolve(messageOf(error)));
    child.on('close', (status, signal) => {
      const reason = status === null ? `it was ended by ${signal}` : `it ended with status ${status}`;
      resolve(status === 0 ? '' : said.trim() || reason);
    });
  });
  let sourceError: unknown;
  const fed = feed(source, child.stdin).catch(error => {
    // A filter that stops reading says why itself; anything else is the source's own failure.
    if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'ERR_STREAM_DESTROYED') {
      sourceError = error;
      child.kill('SIGKILL');
    }
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    await fed;
    const failure = await ended;
    if (sourceError !== undefined) throw sourceError;
    if (failure !== '') {
      throw new BuildError('integrity', `${program} could not unpack its input: ${printable(failure)}`);
    }
  } finally {
    child.stdin.destroy();
    child.kill('SIGKILL');
    await fed;
  }
}

/** Waits for each chunk to be written, since a source may use its buffer again. */
async function feed(source: AsyncIterable<Uint8Array>, into: Writable): Promise<void> {
  into.on('error', () => undefined);
  for await (const chunk of source) {
    await new Promise<void>((resolve, reject) => {
      const closed = () => reject(new SystemError(32, 'write'));
      into.once('close', closed);
      into.write(chunk, error => {
        into.off('close', closed);
        if (error) reject(error);
        else resolve();
      });
    });
  }
  into.end();
}
