// slipway pull: an image from its registry into the local store, layers included.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import type { Digest } from '../../image/digest.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../../image/reference.ts';
import type { ImageTools } from '../../images/tools.ts';
import { mayBeElsewhere } from '../../registry/short-names.ts';
import { addContentTrust, type ContentTrustFlags, checkContentTrust } from '../options/content-trust.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface PullFlags extends RegistryFlags, ContentTrustFlags {
  readonly allTags?: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
  readonly verifyKey?: string;
}

export function definePull(program: Command, session: Session): void {
  addRegistryOptions(
    addContentTrust(
      program
        .command('pull')
        .description('fetch an image from a registry')
        .argument('<image>', '[host/]name[:tag][@digest]')
        .option('-a, --all-tags', 'fetch every tag of the repository')
        .option('--platform <os/arch[/variant]>', 'platform to fetch (default: that of this machine)')
        .option('-q, --quiet', 'print nothing but the name')
        .option('--verify-key <key>', 'only what is signed by this key: a public key in PEM, or env://NAME'),
    ),
  ).action((text: string, flags: PullFlags, command: Command) => pull(text, flags, session, command));
}

async function pull(text: string, flags: PullFlags, session: Session, command: Command): Promise<void> {
  checkContentTrust(flags, session);
  const written = parseReference(text.replace(/^docker:\/\//, ''));
  if (flags.allTags && (written.tag || written.digest)) {
    throw new BuildError('usage', 'a tag cannot be combined with --all-tags', {
      hint: 'name the repository alone',
    });
  }
  requireAuthFile(flags, session.cwd);
  const [{ meaningsOf, openImageTools }, platforms] = await Promise.all([
    import('../wire.ts'),
    import('../../image/platform.ts'),
  ]);
  const platform = flags.platform ? platforms.parsePlatform(flags.platform) : platforms.hostPlatform();
  const meanings = text.startsWith('docker://') ? [written] : await meaningsOf(session, text);
  const hosts = meanings.map(({ domain }) => domain);
  const given = registryOptions(flags, hosts, session.cwd);
  await using wired = await openImageTools(session, command, given);
  const tools = wired.images;
  const note = (line: string) => (flags.quiet ? undefined : session.err(`${line}\n`));
  if (!flags.allTags && !written.tag && !written.digest) note('Using default tag: latest');
  const asked = await firstThere(meanings, written, flags, tools);
  const all = await references(asked, flags, tools, note);
  const verified = await verify(all, flags, session, tools);
  for (const reference of all) {
    const { pullInto } = await import('../../images/pull.ts');
    const pulled = await pullInto(reference, platform, tools, verified.get(reference));
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

/** The first of several meanings of a short name that a registry has. */
async function firstThere(
  meanings: readonly Reference[],
  written: Reference,
  flags: PullFlags,
  { registries, signal }: ImageTools,
): Promise<Reference> {
  for (const reference of meanings.slice(0, -1)) {
    try {
      if (flags.allTags) await (await registries()).listTags(reference, signal);
      else await (await registries()).fetchManifest(withDefaultTag(reference), signal);
      return reference;
    } catch (error) {
      if (!mayBeElsewhere(error)) throw error;
    }
  }
  return meanings.at(-1) ?? written;
}

async function references(
  asked: Reference,
  flags: PullFlags,
  tools: ImageTools,
  note: (line: string) => void,
): Promise<Reference[]> {
  if (!flags.allTags) return [withDefaultTag(asked)];
  const { isTagAboutImage } = await import('../../signing/stored.ts');
  const tags = await (await tools.registries()).listTags(asked, tools.signal);
  for (const tag of tags.filter(isTagAboutImage)) note(`Left out: ${tag} is about an image, and is none`);
  return tags.filter(tag => !isTagAboutImage(tag)).map(tag => ({ ...asked, tag }));
}

/** All are verified before anything is fetched; then it is fetched by digest, as tags may change meanwhile. */
async function verify(
  all: readonly Reference[],
  { verifyKey }: PullFlags,
  session: Session,
  tools: ImageTools,
): Promise<ReadonlyMap<Reference, Digest>> {
  const verified = new Map<Reference, Digest>();
  if (verifyKey === undefined) return verified;
  const [{ openVerifyingKey }, { verifyImage }] = await Promise.all([
    import('../key-files.ts'),
    import('../../signing/verify.ts'),
  ]);
  const key = await openVerifyingKey(verifyKey, session);
  const registries = await tools.registries();
  for (const reference of all) {
    const { digest } = await verifyImage({ reference, key, annotations: {} }, registries, session.signal);
    verified.set(reference, digest);
  }
  return verified;
}
