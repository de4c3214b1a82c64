// slipway save, image save: images of the store as one archive for docker load, podman load, skopeo.
import type { Command } from 'commander';
import type { Session } from '../session.ts';

interface SaveFlags {
  readonly output?: string;
  readonly platform?: string;
}

export function defineSave(parent: Command, session: Session): void {
  parent
    .command('save')
    .description('write images to an archive that docker load reads')
    .argument('<image...>', 'names (without a tag: all tags), ids, or references to images elsewhere')
    .option('-o, --output <path>', 'file to write (default: standard output)')
    .option('--platform <os/arch[/variant]>', 'only this platform of an image of several')
    .action((names: string[], flags: SaveFlags, command: Command) => save(names, flags, session, command));
}

async function save(
  names: readonly string[],
  flags: SaveFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [
    { openImageTools },
    { openDestination },
    { writeImageArchive },
    { packForDocker, packStored },
    { collectImages },
    { parsePlatform },
  ] = await Promise.all([
    import('../wire.ts'),
    import('../../export/destination.ts'),
    import('../../images/save.ts'),
    import('../../images/pack-stored.ts'),
    import('../../images/save-names.ts'),
    import('../../image/platform.ts'),
  ]);
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  // Before anything is read: a terminal or a directory is refused at once.
  await using destination = await openDestination(flags.output ?? '-', {
    cwd: session.cwd,
    stdout: process.stdout,
    stdoutIsTerminal: process.stdout.isTTY === true,
  });
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  const saved = await collectImages(names, platform, tools, image => {
    const several = image.root.digest !== image.descriptor.digest && !platform;
    return several ? packStored(image, tools, true) : packForDocker(image, tools);
  });
  await writeImageArchive(saved, 'docker', destination, tools);
}
