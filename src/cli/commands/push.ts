// slipway push: an image of the local store to its registry. Layers are packed for the way, manifest and tag go last.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../../image/reference.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface PushFlags extends RegistryFlags {
  readonly quiet?: boolean;
}

export function definePush(program: Command, session: Session): void {
  addRegistryOptions(
    program
      .command('push')
      .description('send an image to its registry')
      .argument('<image>', 'name of an image in the local store')
      .option('-q, --quiet', 'print nothing but the digest'),
  ).action(async (text: string, flags: PushFlags, command: Command) => {
    const reference = withDefaultTag(parseReference(text));
    requireAuthFile(flags, session.cwd);
    const registries = registryOptions(flags, [reference.domain], session.cwd);
    const { openTools } = await import('../wire.ts');
    await using wired = await openTools(session, command, { emit: () => {}, isolation: 'auto', registries });
    const { store, layers } = wired.tools;
    const name = formatReference(reference);
    const named = store.names.get(name);
    if (!named) {
      throw new BuildError(
        'not-found',
        `there is no image ${familiarReference(reference)} in the local store`,
        {
          hint: 'slipway images lists what there is',
        },
      );
    }
    const { repackForRegistry } = await import('../../export/repack.ts');
    const root = await repackForRegistry(named.descriptor, store, layers, session.signal);
    await wired.push({ name, root, byDigest: false }, session.signal);
    await store.meta.flush();
    if (!flags.quiet) session.err(`pushed ${name}\n`);
    session.out(`${root.digest}\n`);
  });
}
