// slipway save, image save: images of the store as one archive for docker load, podman load, skopeo.
import type { Command } from 'commander';
import type { SavedImage } from '../../images/save.ts';
import type { ImageTools } from '../../images/tools.ts';
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
  const [{ openImageTools }, { openDestination }, { writeImageArchive }] = await Promise.all([
    import('../wire.ts'),
    import('../../export/destination.ts'),
    import('../../images/save.ts'),
  ]);
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  // Before anything is read: a terminal or a directory is refused at once.
  await using destination = await openDestination(flags.output ?? '-', {
    cwd: session.cwd,
    stdout: process.stdout,
    stdoutIsTerminal: process.stdout.isTTY === true,
  });
  const saved = await imagesToSave(names, flags, tools);
  await writeImageArchive(saved, 'docker', destination, tools);
}

/** Each image once, with the names that were asked for. */
async function imagesToSave(
  names: readonly string[],
  flags: SaveFlags,
  tools: ImageTools,
): Promise<SavedImage[]> {
  const [{ openImage }, { packForDocker, packStored }, { parsePlatform }, { namesToSave }] =
    await Promise.all([
      import('../../images/source.ts'),
      import('../../images/pack-stored.ts'),
      import('../../image/platform.ts'),
      import('../../images/save-names.ts'),
    ]);
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  const saved = new Map<string, SavedImage>();
  for (const text of names) {
    for (const { reference, kept } of await namesToSave(text, tools)) {
      const image = await openImage(reference, tools, platform);
      const several = image.root.digest !== image.descriptor.digest && !platform;
      const known = saved.get(image.id);
      const packed =
        known?.packed ?? (several ? await packStored(image, tools, true) : await packForDocker(image, tools));
      saved.set(image.id, { packed, names: [...new Set([...(known?.names ?? []), ...kept])] });
    }
  }
  return [...saved.values()];
}
