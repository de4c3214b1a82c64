// slipway pull: an image from its registry into the local store, layers included.
import type { Command } from 'commander';
import { formatReference, parseReference, withDefaultTag } from '../../image/reference.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface PullFlags extends RegistryFlags {
  readonly platform?: string;
  readonly quiet?: boolean;
}

export function definePull(program: Command, session: Session): void {
  addRegistryOptions(
    program
      .command('pull')
      .description('fetch an image from a registry')
      .argument('<image>', '[host/]name[:tag][@digest]')
      .option('--platform <os/arch[/variant]>', 'platform to fetch (default: that of this machine)')
      .option('-q, --quiet', 'print nothing but the name'),
  ).action(async (text: string, flags: PullFlags, command: Command) => {
    const reference = withDefaultTag(parseReference(text));
    requireAuthFile(flags, session.cwd);
    const given = registryOptions(flags, [reference.domain], session.cwd);
    const [{ openStoreFor, openRegistriesFor }, { pullImage, registryBlobSource }, platforms] =
      await Promise.all([
        import('../wire.ts'),
        import('../../registry/pull.ts'),
        import('../../image/platform.ts'),
      ]);
    const platform = flags.platform ? platforms.parsePlatform(flags.platform) : platforms.hostPlatform();
    await using store = await openStoreFor(session, command);
    const registries = await openRegistriesFor(session, given);
    try {
      const image = await pullImage(registries, store, reference, platform, session.signal);
      const source = registryBlobSource(registries, store);
      await Promise.all(image.manifest.layers.map(layer => source.fetch(layer, session.signal)));
      const name = formatReference(reference);
      await store.names.set(name, image.descriptor);
      await store.meta.flush();
      if (!flags.quiet) session.err(`Digest: ${image.top.digest}\n`);
      session.out(`${name}\n`);
    } finally {
      await registries.close();
    }
  });
}
