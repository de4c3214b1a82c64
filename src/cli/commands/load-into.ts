// slipway load-into: images of the store straight into a Docker or Podman engine on this machine.
import type { Command } from 'commander';
import { printable } from '../../errors.ts';
import type { Session } from '../session.ts';

interface LoadIntoFlags {
  readonly platform?: string;
  readonly quiet?: boolean;
}

export function defineLoadInto(program: Command, session: Session): void {
  program
    .command('load-into')
    .description('hand images over to the Docker or Podman engine of DOCKER_HOST or this machine')
    .argument('<image...>', 'names, ids, or docker-archive:, oci-archive:, oci:, docker:// references')
    .option('--platform <os/arch[/variant]>', 'platform of an image of several')
    .option('-q, --quiet', 'do not repeat what the engine says')
    .action((names: string[], flags: LoadIntoFlags, command: Command) =>
      loadInto(names, flags, session, command),
    );
}

async function loadInto(
  names: readonly string[],
  flags: LoadIntoFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { handOver }, { findEngine }, { parsePlatform }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/hand-over.ts'),
    import('../../images/engine.ts'),
    import('../../image/platform.ts'),
  ]);
  const address = findEngine(session.env, process.geteuid?.() ?? 0);
  await using wired = await openImageTools(session, command);
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  const said = await handOver(names, address, wired.images, platform);
  if (!flags.quiet) session.out(said.map(line => `${printable(line)}\n`).join(''));
}
