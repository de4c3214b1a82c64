// slipway load, image load: images of an archive or layout into the local store.
import { createWriteStream, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import type { Session } from '../session.ts';

interface LoadFlags {
  readonly input?: string;
  readonly platform?: string;
  readonly quiet?: boolean;
}

export function defineLoad(parent: Command, session: Session): void {
  parent
    .command('load')
    .description('read images from an archive of docker, podman, buildah, kaniko, skopeo or slipway')
    .option(
      '-i, --input <path>',
      'archive (packed or not), layout directory or skopeo dir: (default: standard input)',
    )
    .option('--platform <os/arch[/variant]>', 'only this platform of an image of several')
    .option('-q, --quiet', 'accepted for docker compatibility: no progress is shown')
    .action((flags: LoadFlags, command: Command) => load(flags, session, command));
}

async function load(flags: LoadFlags, session: Session, command: Command): Promise<void> {
  if (flags.input === undefined && process.stdin.isTTY) {
    throw new BuildError('usage', 'an archive is not read from a terminal', {
      hint: 'name it with -i, or redirect standard input',
    });
  }
  const [{ openImageTools }, { loadFile }, { parsePlatform }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/load.ts'),
    import('../../image/platform.ts'),
  ]);
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  const file =
    flags.input === undefined || flags.input === '-'
      ? { path: await spool(tools.store.tmp, session), shown: 'standard input' }
      : { path: resolve(session.cwd, flags.input) };
  const isDirectory = statSync(file.path, { throwIfNoEntry: false })?.isDirectory() === true;
  const kind = isDirectory ? 'directory' : 'archive';
  for (const { id, names } of await loadFile({ ...file, kind }, tools, platform)) {
    for (const name of names) session.out(`Loaded image: ${name}\n`);
    if (names.length === 0) session.out(`Loaded image ID: ${id}\n`);
  }
}

/** An archive is read in any order, so that what comes through a pipe is kept first. */
async function spool(dir: string, session: Session): Promise<string> {
  const path = join(dir, 'stdin.tar');
  await pipeline(process.stdin, createWriteStream(path, { mode: 0o600 }), { signal: session.signal });
  return path;
}
