// slipway push: an image of the local store to its registry. Layers are packed for the way, manifest and tag go last.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import { familiarReference, parseReference, withDefaultTag } from '../../image/reference.ts';
import { addContentTrust, type ContentTrustFlags, checkContentTrust } from '../options/content-trust.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface PushFlags extends RegistryFlags, ContentTrustFlags {
  readonly allTags?: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
}

export function definePush(program: Command, session: Session): void {
  addRegistryOptions(
    addContentTrust(
      program
        .command('push')
        .description('send an image to its registry')
        .argument('<image>', 'name of an image in the local store')
        .option('-a, --all-tags', 'send every tag of the repository')
        .option('--platform <os/arch[/variant]>', 'only this platform of an image of several')
        .option('-q, --quiet', 'print nothing but the digest'),
    ),
  ).action((text: string, flags: PushFlags, command: Command) => push(text, flags, session, command));
}

async function push(text: string, flags: PushFlags, session: Session, command: Command): Promise<void> {
  checkContentTrust(flags, session);
  const asked = parseReference(text);
  if (flags.allTags && (asked.tag || asked.digest)) {
    throw new BuildError('usage', 'a tag cannot be combined with --all-tags', {
      hint: 'name the repository alone',
    });
  }
  requireAuthFile(flags, session.cwd);
  const registries = registryOptions(flags, [asked.domain], session.cwd);
  const [{ openImageTools }, { namesToPush, pushNamed }, { parsePlatform }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/push.ts'),
    import('../../image/platform.ts'),
  ]);
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  await using wired = await openImageTools(session, command, registries);
  const tools = wired.images;
  if (!flags.quiet) {
    if (!flags.allTags && !asked.tag && !asked.digest) session.err('Using default tag: latest\n');
    session.err(`The push refers to repository [${asked.domain}/${asked.path}]\n`);
  }
  for (const name of namesToPush(withDefaultTag(asked), flags.allTags === true, tools)) {
    const reference = parseReference(name);
    const root = await pushNamed(reference, platform, tools);
    const label = reference.tag ?? familiarReference(reference);
    if (!flags.quiet) session.err(`${label}: digest: ${root.digest} size: ${root.size}\n`);
    session.out(`${root.digest}\n`);
  }
}
