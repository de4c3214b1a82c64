// Contexts that come as a stream: an archive, or one Dockerfile and nothing else.
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { decompress, detectCompression } from '../archive/compression.ts';
import { BuildError, printable } from '../errors.ts';
import { archiveTree } from './archive-tree.ts';
import { authorizeHttp } from './authorize.ts';
import type { ContextOptions, Fetched } from './context.ts';
import { maxTextBytes, tooLarge } from './find-files.ts';
import { newestFileSec, peek, spoolTar } from './spool-tar.ts';

/** `-`: told by its first bytes whether it is an archive or a Dockerfile. */
export async function openStdin(options: ContextOptions, description: string, dir: string): Promise<Fetched> {
  if (options.file === '-') {
    throw new BuildError('usage', 'the context and the Dockerfile cannot both come from standard input');
  }
  if (options.stdin === undefined) throw new BuildError('context', 'there is no standard input to read from');
  return openArchive(options.stdin, 'standard input', options, description, dir, 'stdin');
}

/** What a URL answers with: an archive or a Dockerfile. */
export async function openBody(
  url: string,
  options: ContextOptions,
  description: string,
  dir: string,
): Promise<Fetched> {
  const { download, signal } = options;
  if (!download) throw new BuildError('unsupported', `${printable(url)} cannot be downloaded here`);
  const to = join(dir, 'body');
  const authorize = options.secrets ? { authorize: authorizeHttp(options.secrets) } : {};
  const { lastModifiedSec } = await download({ url, to, signal, ...authorize });
  const stream = createReadStream(to, { highWaterMark: 1024 * 1024 });
  const fetched = await openArchive(stream, printable(url), options, description, dir, url);
  return lastModifiedSec === undefined ? fetched : { ...fetched, dateSec: lastModifiedSec };
}

/**
 * @param where for messages
 * @param dockerfile name of the Dockerfile that the stream may be; absent: it must be an archive
 * @param dir where the unpacked archive is kept
 * @throws BuildError `context` when it is neither, `integrity` or `hostile` for a bad archive
 */
export async function openArchive(
  stream: AsyncIterable<Uint8Array>,
  where: string,
  options: ContextOptions,
  description: string,
  dir: string,
  dockerfile?: string,
): Promise<Fetched> {
  const { head, all } = await peek(stream);
  const packing = detectCompression(head);
  // An archive without any entry is zeros.
  const isEmptyTar = head.length === 512 && head.every(byte => byte === 0);
  if (packing === 'none' && !isEmptyTar) {
    const file = dockerfile === undefined ? undefined : { name: dockerfile, text: await readAll(all, where) };
    if (!file || file.text.includes('\0')) throw neither(where, dockerfile);
    return { tree: archiveTree([], description), where, dockerfile: file };
  }
  const inner = await peek(decompress(all, packing));
  if (detectCompression(inner.head) !== 'tar' && !isEmptyTar) throw neither(where, dockerfile);
  const entries = await spoolTar(inner.all, join(dir, 'context.tar'), options.signal);
  const dateSec = newestFileSec(entries);
  const date = dateSec === undefined ? {} : { dateSec };
  return { tree: archiveTree(entries, description, options.hashContents), where, ...date };
}

async function readAll(stream: AsyncIterable<Uint8Array>, where: string): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    parts.push(Buffer.from(part));
    size += part.length;
    if (size > maxTextBytes) throw tooLarge(`the Dockerfile from ${where}`);
  }
  return Buffer.concat(parts, size).toString('utf8');
}

function neither(where: string, dockerfile: string | undefined): BuildError {
  const what = dockerfile === undefined ? 'is no tar archive' : 'is neither a tar archive nor a Dockerfile';
  return new BuildError('context', `${where} ${what}`, {
    hint: 'a context is a directory or a tar archive, also packed with gzip, bzip2, xz or zstd',
  });
}
