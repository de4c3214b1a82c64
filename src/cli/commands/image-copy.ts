// slipway image copy: an image from anywhere to anywhere.
import type { Command } from 'commander';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface CopyFlags extends RegistryFlags {
  readonly all?: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
}

const places =
  'a name in the local store, docker-archive:FILE[:NAME], oci-archive:FILE[:NAME], oci:DIR[:TAG] or docker://NAME';

export function defineImageCopy(parent: Command, session: Session): void {
  addRegistryOptions(
    parent
      .command('copy')
      .description('copy an image from one place to another')
      .argument('<source>', `${places}; an id works too`)
      .argument('<destination>', places)
      .option('-a, --all', 'all platforms of the image, not only one')
      .option('--platform <os/arch[/variant]>', 'platform to copy (default: that of this machine)')
      .option('-q, --quiet', 'do not print the digest'),
  ).action((from: string, to: string, flags: CopyFlags, command: Command) =>
    copy(from, to, flags, session, command),
  );
}

async function copy(
  from: string,
  to: string,
  flags: CopyFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { copyImage }, { parsePlace }, { openDestination }, { parsePlatform }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/copy.ts'),
      import('../../images/source.ts'),
      import('../../export/destination.ts'),
      import('../../image/platform.ts'),
    ]);
  requireAuthFile(flags, session.cwd);
  const hosts = [from, to].flatMap(text => {
    const place = parsePlace(text, session.cwd);
    return place.kind === 'registry' ? [place.reference.domain] : [];
  });
  const given = registryOptions(flags, hosts, session.cwd);
  await using wired = await openImageTools(session, command, given);
  const stdout = { stdout: process.stdout, stdoutIsTerminal: process.stdout.isTTY === true };
  const root = await copyImage(
    {
      from,
      to,
      all: flags.all === true,
      ...(flags.platform ? { platform: parsePlatform(flags.platform) } : {}),
      openDestination: path => openDestination(path, { cwd: session.cwd, ...stdout }),
    },
    wired.images,
  );
  await wired.images.store.meta.flush();
  if (!flags.quiet) session.out(`${root.digest}\n`);
}
