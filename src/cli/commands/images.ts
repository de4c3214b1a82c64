// slipway images: what the local store holds, as docker lists it.
import type { Command } from 'commander';
import { shortId } from '../../image/digest.ts';
import { familiarName, parseReference } from '../../image/reference.ts';
import type { Session } from '../session.ts';

interface ImagesFlags {
  readonly quiet?: boolean;
  readonly digests?: boolean;
  readonly trunc: boolean;
}

export function defineImages(program: Command, session: Session): void {
  program
    .command('images')
    .description('list the images in the local store')
    .option('-q, --quiet', 'print ids only')
    .option('--digests', 'show digests')
    .option('--no-trunc', 'do not shorten ids')
    .action(async (flags: ImagesFlags, command: Command) => {
      const { openStoreFor } = await import('../wire.ts');
      const { listImages } = await import('../../store/images.ts');
      await using store = await openStoreFor(session, command);
      const images = await listImages(store);
      const id = (digest: (typeof images)[number]['id']) => (flags.trunc ? shortId(digest) : digest);
      if (flags.quiet) {
        session.out([...new Set(images.map(image => `${id(image.id)}\n`))].join(''));
        return;
      }
      const { table } = await import('../table.ts');
      const { ago, formatSize } = await import('../format.ts');
      const header = [
        'REPOSITORY',
        'TAG',
        ...(flags.digests ? ['DIGEST'] : []),
        'IMAGE ID',
        'CREATED',
        'SIZE',
      ];
      const rows = images.map(image => {
        const ref = parseReference(image.name);
        return [
          familiarName(ref),
          ref.tag ?? '<none>',
          ...(flags.digests ? [image.digest] : []),
          id(image.id),
          image.created ? ago(image.created, Date.now()) : 'N/A',
          formatSize(image.size),
        ];
      });
      session.out(table([header, ...rows]));
    });
}
