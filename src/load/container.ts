// A bag of named files that an image can be read from: a directory (OCI layout) or a tar. Names come from outside and
// are compared, never joined to a path of ours; links are not followed (EX-17, EX-18).
import { createReadStream, createWriteStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { decompress, detectCompression } from '../archive/compression.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { bytePath, showPath } from '../tree/entry.ts';
import { openFileInTree } from '../tree/resolve.ts';

/** Largest JSON document that is read from a container, in bytes. */
export const maxDocumentBytes = 4 * 1024 * 1024;

export interface Container {
  /** For messages. */
  readonly description: string;
  has(name: string): boolean;
  size(name: string): number | undefined;
  /** Streams the file. @throws BuildError when it is missing or no ordinary file */
  stream(name: string): AsyncIterable<Uint8Array>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A whole small file. @throws BuildError `integrity` above `maxBytes` */
export async function readDocument(
  container: Container,
  name: string,
  maxBytes = maxDocumentBytes,
): Promise<Buffer> {
  const size = container.size(name);
  if (size === undefined)
    throw new BuildError('integrity', `${container.description} has no ${printable(name)}`);
  if (size > maxBytes) {
    throw new BuildError(
      'hostile',
      `${printable(name)} in ${container.description} has ${size} bytes; more than ${maxBytes} are not read`,
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of container.stream(name)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A directory; every file is opened without following a link in any component. */
export function directoryContainer(root: string): Container {
  const openAt = (name: string) => openFileInTree(root, bytePath(name));
  const sizeOf = (name: string): number | undefined => {
    try {
      const file = openAt(name);
      const { size } = file;
      file.close();
      return size;
    } catch (error) {
      if (error instanceof BuildError && error.code === 'hostile') throw error;
      return undefined;
    }
  };
  return {
    description: root,
    has: name => sizeOf(name) !== undefined,
    size: sizeOf,
    async *stream(name) {
      const file = openAt(name);
      yield* createReadStream('', { fd: file.fd, highWaterMark: 1024 * 1024 });
    },
    async [Symbol.asyncDispose]() {},
  };
}

interface Member {
  readonly kind: 'file' | 'link' | 'other';
  readonly offset: number;
  readonly size: number;
  readonly target: string;
}

const maxLinks = 8;

/**
 * A tar file, compressed or not. A compressed one is unpacked to `spool` (a path in a private directory) first, so that
 * its members can be read in any order.
 * @param shown what messages call it
 * @throws BuildError `not-found`, `integrity`
 */
export async function tarContainer(
  path: string,
  spool: string,
  signal: AbortSignal,
  shown = printable(path),
): Promise<Container> {
  const file = await plainTar(path, spool, signal, shown);
  const members = await indexTar(file, signal);
  // Old `docker save` wrote a layer that occurs twice as a symlink to the first one.
  const find = (name: string): Member | undefined => {
    let wanted = name;
    for (let i = 0; i < maxLinks; i++) {
      const member = members.get(wanted);
      if (member?.kind !== 'link') return member;
      wanted = joinLink(wanted, member.target);
    }
    throw new BuildError('hostile', `${printable(name)} in ${shown} is a link cycle`);
  };
  const fileMember = (name: string): Member | undefined => {
    const member = find(name);
    return member?.kind === 'file' ? member : undefined;
  };
  return {
    description: shown,
    has: name => fileMember(name) !== undefined,
    size: name => fileMember(name)?.size,
    async *stream(name) {
      const member = fileMember(name);
      if (!member) throw new BuildError('integrity', `${shown} has no file ${printable(name)}`);
      if (member.size === 0) return;
      const end = member.offset + member.size - 1;
      yield* createReadStream(file, { start: member.offset, end, highWaterMark: 1024 * 1024 });
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function plainTar(path: string, spool: string, signal: AbortSignal, shown: string): Promise<string> {
  const head = Buffer.alloc(512);
  try {
    if (!(await stat(path)).isFile()) throw new BuildError('not-found', `${shown} is not a file`);
    const handle = await open(path);
    await handle.read(head, 0, head.length, 0).finally(() => handle.close());
  } catch (error) {
    if (error instanceof BuildError) throw error;
    if (errnoOf(error) === 'ENOENT')
      throw new BuildError('not-found', `there is no file ${shown}`, { cause: error });
    throw new BuildError('not-found', `${shown} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const kind = detectCompression(head);
  if (kind === 'tar') return path;
  if (kind === 'none') {
    throw new BuildError(
      'integrity',
      `${shown} is no image archive: it is neither a tar nor a compressed one`,
    );
  }
  await pipeline(
    decompress(createReadStream(path), kind),
    createWriteStream(spool, { flags: 'wx', mode: 0o600 }),
    { signal },
  );
  return spool;
}

async function indexTar(path: string, signal: AbortSignal): Promise<Map<string, Member>> {
  const members = new Map<string, Member>();
  const reader = new TarReader({
    entry(entry, offset) {
      const kind =
        entry.type === 'file' && offset >= 0
          ? 'file'
          : entry.type === 'symlink' || entry.type === 'hardlink'
            ? 'link'
            : 'other';
      const target = entry.type === 'hardlink' ? `/${entry.linkTarget}` : (entry.linkTarget ?? '');
      members.set(showPath(entry.path), { kind, offset, size: entry.size, target: showPath(target) });
    },
    data() {},
  });
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal }))
    reader.push(chunk as Buffer);
  reader.finish();
  return members;
}

/** Where a link leads, as a name in the same archive. */
function joinLink(from: string, target: string): string {
  const parts = target.startsWith('/') ? [] : from.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
