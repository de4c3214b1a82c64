// slipway import, image import: a tar of a file system becomes an image of one layer.
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { BuildError, errnoOf, messageOf, printable } from '../../errors.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';
import type { Wired } from '../wire.ts';

interface ImportFlags {
  readonly change: readonly string[];
  readonly message?: string;
  readonly platform?: string;
}

export function defineImport(parent: Command, session: Session): void {
  parent
    .command('import')
    .description('make an image of a file system in a tar')
    .argument('<source>', 'tar file (packed or not), http URL, or "-" for standard input')
    .argument('[name]', 'name of the image, [host/]name[:tag]')
    .addOption(
      repeated('-c, --change <instruction>', 'Dockerfile instruction to apply, such as "CMD [\\"sh\\"]"'),
    )
    .option('-m, --message <text>', 'comment for the history')
    .option('--platform <os/arch[/variant]>', 'what the files are for (default: this machine)')
    .action((source: string, name: string | undefined, flags: ImportFlags, command: Command) =>
      importTar(source, name, flags, session, command),
    );
}

async function importTar(
  source: string,
  name: string | undefined,
  flags: ImportFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { importImage }, { parseTarget }, { formatReference }, platforms] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/import.ts'),
      import('../../images/tag.ts'),
      import('../../image/reference.ts'),
      import('../../image/platform.ts'),
    ]);
  const target = name === undefined ? undefined : formatReference(parseTarget(name));
  const platform = flags.platform ? platforms.parsePlatform(flags.platform) : platforms.hostPlatform();
  await using wired = await openImageTools(session, command);
  const isUrl = /^https?:\/\//i.test(source);
  const id = await importImage(
    {
      tar: await openTar(source, isUrl, session, wired),
      ...(target ? { name: target } : {}),
      changes: flags.change,
      message: flags.message ?? `Imported from ${isUrl ? source : '-'}`,
      platform,
      created: new Date().toISOString(),
    },
    wired.images,
  );
  session.out(`${id}\n`);
}

async function openTar(
  source: string,
  isUrl: boolean,
  session: Session,
  wired: Wired,
): Promise<AsyncIterable<Uint8Array>> {
  if (source === '-') return process.stdin;
  if (isUrl) {
    const path = join(wired.tools.store.tmp, 'download.tar');
    await downloadTo(source, path, session);
    return createReadStream(path, { highWaterMark: 1024 * 1024 });
  }
  const path = resolve(session.cwd, source);
  try {
    const file = await open(path);
    if (!(await file.stat()).isFile()) throw new BuildError('not-found', `${printable(path)} is not a file`);
    return file.createReadStream({ highWaterMark: 1024 * 1024 });
  } catch (cause) {
    if (cause instanceof BuildError) throw cause;
    const why = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new BuildError('not-found', `${printable(path)} cannot be imported: ${why}`, { cause });
  }
}

async function downloadTo(url: string, path: string, session: Session): Promise<void> {
  const [{ openHttp }, { get }] = await Promise.all([import('../../host/http.ts'), import('../download.ts')]);
  const http = openHttp({ env: session.env });
  try {
    const answer = await get(http, url, session.signal);
    await pipeline(answer.body, createWriteStream(path, { mode: 0o600 }), { signal: session.signal });
  } finally {
    await http.close();
  }
}
