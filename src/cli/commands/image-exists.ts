// slipway image exists: exit status 0 when the image is in the local store, 1 when it is not.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import type { Session } from '../session.ts';

export function defineImageExists(parent: Command, session: Session): void {
  parent
    .command('exists')
    .description('exit with status 0 if the image is in the local store, with 1 if not')
    .argument('<image>', 'name or id')
    .action(async (name: string, _flags: unknown, command: Command) => {
      const [{ openStoreFor }, { listLocalImages }, { findImage }] = await Promise.all([
        import('../wire.ts'),
        import('../../images/catalog.ts'),
        import('../../images/find.ts'),
      ]);
      await using store = await openStoreFor(session, command);
      try {
        findImage(await listLocalImages(store), name);
      } catch (error) {
        if (!(error instanceof BuildError) || error.code !== 'not-found') throw error;
        session.status = 1;
      }
    });
}
