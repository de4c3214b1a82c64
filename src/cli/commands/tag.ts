// slipway tag, image tag: one more name for an image.
import type { Command } from 'commander';
import type { Session } from '../session.ts';

export function defineTag(parent: Command, session: Session): void {
  parent
    .command('tag')
    .description('give an image one more name')
    .argument('<image>', 'name, id, or docker-archive:, oci-archive:, oci:, docker:// reference')
    .argument('<name>', 'the new name, [host/]name[:tag]; what has it loses it')
    .action(async (source: string, target: string, _flags: unknown, command: Command) => {
      const { openImageTools } = await import('../wire.ts');
      const { tagImage } = await import('../../images/tag.ts');
      await using wired = await openImageTools(session, command);
      await tagImage(source, target, wired.images);
    });
}
