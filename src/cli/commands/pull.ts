// slipway pull: an image from its registry into the local store, layers included.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../../image/reference.ts';
import type { ImageTools } from '../../images/tools.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface PullFlags extends RegistryFlags {
  readonly allTags?: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
}

export function definePull(program: Command, session: Session): void {
  addRegistryOptions(
    program
      .command('pull')
      .description('fetch an image from a registry')
      .argument('<image>', '[host/]name[:tag][@digest]')
      .option('-a, --all-tags', 'fetch every tag of the repository')
      .option('--platform <os/arch[/variant]>', 'platform to fetch (default: that of this machine)')
      .option('-q, --quiet', 'print nothing but the name'),
  ).action((text: string, flags: PullFlags, command: Command) => pull(text, flags, session, command));
}

async function pull(text: string, flags: PullFlags, session: Session, command: Command): Promise<void> {
  const asked = parseReference(text.replace(/^docker:\/\//, ''));
  if (flags.allTags && (asked.tag || asked.digest)) {
    throw new BuildError('usage', 'a tag cannot be combined with --all-tags', {
      hint: 'name the repository alone',
    });
  }
  requireAuthFile(flags, session.cwd);
  const given = registryOptions(flags, [asked.domain], session.cwd);
  const [{ openImageTools }, platforms] = await Promise.all([
    import('../wire.ts'),
    import('../../image/platform.ts'),
  ]);
  const platform = flags.platform ? platforms.parsePlatform(flags.platform) : platforms.hostPlatform();
  await using wired = await openImageTools(session, command, given);
  const tools = wired.images;
  const note = (line: string) => (flags.quiet ? undefined : session.err(`${line}\n`));
  if (!flags.allTags && !asked.tag && !asked.digest) note('Using default tag: latest');
  for (const reference of await references(asked, flags, tools)) {
    const { pullInto } = await import('../../images/pull.ts');
    const pulled = await pullInto(reference, platform, tools);
    const { name, digest, isNew } = pulled;
    note(`Digest: ${digest}`);
    const status = isNew ? 'Downloaded newer image for' : 'Image is up to date for';
    note(`Status: ${status} ${familiarReference(parseReference(name))}`);
    if (platforms.platformDistance(platform, pulled.platform) === undefined) {
      const [found, wanted] = [pulled.platform, platform].map(platforms.formatPlatform);
      session.err(`warning: ${name} is an image for ${found} only, not for ${wanted}\n`);
    }
    if (!flags.allTags) session.out(`${name}\n`);
  }
  if (flags.allTags) session.out(`${formatReference(asked)}\n`);
}

async function references(asked: Reference, flags: PullFlags, tools: ImageTools): Promise<Reference[]> {
  if (!flags.allTags) return [withDefaultTag(asked)];
  const tags = await (await tools.registries()).listTags(asked, tools.signal);
  return tags.map(tag => ({ ...asked, tag }));
}
