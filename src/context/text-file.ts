// Dockerfiles and ignore files: small regular files, read whole.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { maxTextBytes, tooLarge } from './find-files.ts';

/**
 * @param name for messages
 * @throws BuildError `context` when it is missing, no regular file, unreadable or larger than 2 MiB
 */
export function readTextFile(path: string, name: string): string {
  let fd: number;
  try {
    // A fifo would block for ever without O_NONBLOCK.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
    throw new BuildError('context', `${printable(name)} ${why}`, { cause: error, facts: { path } });
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile())
      throw new BuildError('context', `${printable(name)} is no regular file`, { facts: { path } });
    if (stats.size > maxTextBytes) throw tooLarge(name);
    return readFileSync(fd).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** @throws BuildError `context` without standard input, or for more than 2 MiB */
export async function readStdin(stdin: AsyncIterable<Uint8Array> | undefined): Promise<string> {
  if (stdin === undefined) throw new BuildError('context', 'there is no standard input to read from');
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stdin) {
    parts.push(part);
    size += part.length;
    if (size > maxTextBytes) throw tooLarge('the Dockerfile on standard input');
  }
  return Buffer.concat(parts).toString('utf8');
}
