// slipway rmi, image rm: names go, images with their last one.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';

interface RemoveFlags {
  readonly prune: boolean;
  readonly force?: boolean;
  readonly platform: readonly string[];
}

export function defineRemove(parent: Command, session: Session, name = 'rmi'): void {
  const command = parent
    .command(name)
    .description('remove images')
    .argument('<image...>', 'a name: it is taken away, and the image with the last one; an id: the image')
    .option('-f, --force', 'an id: remove the image with all its names; no error for what is not there')
    .addOption(repeated('--platform <os/arch[/variant]>', 'remove only what is for this platform'))
    .option('--no-prune', 'leave the layers on disk until the next rmi or prune')
    .action((names: string[], flags: RemoveFlags, self: Command) => remove(names, flags, session, self));
  if (name === 'rm') command.alias('remove');
}

async function remove(
  names: readonly string[],
  flags: RemoveFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [
    { openStoreFor },
    { freeSpace, removeImage },
    { removePlatforms },
    { renderError },
    { parsePlatform },
  ] = await Promise.all([
    import('../wire.ts'),
    import('../../images/remove.ts'),
    import('../../images/remove-platform.ts'),
    import('../report-error.ts'),
    import('../../image/platform.ts'),
  ]);
  const platforms = flags.platform.flatMap(text => text.split(',')).map(parsePlatform);
  const force = flags.force === true;
  await using store = await openStoreFor(session, command);
  let removed = 0;
  for (const name of names) {
    try {
      const removals =
        platforms.length > 0
          ? await removePlatforms(store, name, platforms, force)
          : await removeImage(store, name, force);
      removed += removals.length;
      for (const removal of removals) {
        session.out(removal.kind === 'untagged' ? `Untagged: ${removal.name}\n` : `Deleted: ${removal.id}\n`);
      }
    } catch (error) {
      if (!(error instanceof BuildError) || error.code === 'store') throw error;
      if (!(force && error.code === 'not-found')) session.status = 1;
      session.err(renderError(error, session.debug));
    }
  }
  if (removed > 0 && flags.prune) await freeSpace(store);
}
