// slipway manifest: lists of images for several platforms, put together by hand. Flags and messages are docker's.
import type { Command } from 'commander';
import { familiarReference, parseReference } from '../../image/reference.ts';
import type { ImageTools } from '../../images/tools.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface ManifestFlags extends RegistryFlags {
  readonly insecure?: boolean;
  readonly amend?: boolean;
  readonly purge?: boolean;
}

interface AnnotateFlags {
  readonly arch?: string;
  readonly os?: string;
  readonly osFeatures: readonly string[];
  readonly osVersion?: string;
  readonly variant?: string;
}

export function defineManifest(program: Command, session: Session): void {
  const manifest = program.command('manifest').description('put images for several platforms under one name');
  const insecure = (command: Command) =>
    addRegistryOptions(command.option('--insecure', 'same as --tls-verify=false'));
  insecure(
    manifest
      .command('create')
      .description('make a list of images in the local store')
      .argument('<list>', 'name of the list')
      .argument('<image...>', 'images of the local store or a registry, one for each platform')
      .option('-a, --amend', 'add to a list that is there'),
  ).action(async (list: string, images: readonly string[], flags: ManifestFlags, command: Command) => {
    const { createList } = await import('../../images/manifest-list.ts');
    await withTools([list, ...images], flags, session, command, async tools => {
      const name = await createList(list, images, flags.amend ?? false, tools);
      session.out(`Created manifest list ${familiarReference(parseReference(name))}\n`);
    });
  });
  defineAnnotate(manifest, session);
  insecure(
    manifest
      .command('inspect')
      .description('show a list, or the manifest of an image')
      .argument('<list>', 'list or image, of the local store or a registry')
      .argument('[image]', 'image of the list'),
  ).action(async (list: string, image: string | undefined, flags: ManifestFlags, command: Command) => {
    await withTools([list], flags, session, command, async tools => {
      session.out(await inspected(list, image, tools));
    });
  });
  insecure(
    manifest
      .command('push')
      .description('send a list and its images to the registry of its name')
      .argument('<list>', 'name of the list')
      .option('-p, --purge', 'remove the list from the local store afterwards'),
  ).action(async (list: string, flags: ManifestFlags, command: Command) => {
    const { pushList } = await import('../../images/manifest-list.ts');
    await withTools([list], flags, session, command, async tools => {
      session.out(`${await pushList(list, flags.purge ?? false, tools)}\n`);
    });
  });
  manifest
    .command('rm')
    .description('remove lists from the local store')
    .argument('<list...>', 'names of lists')
    .action(async (lists: readonly string[], _flags: unknown, command: Command) => {
      const { removeLists } = await import('../../images/manifest-list.ts');
      await withTools([], {}, session, command, tools => removeLists(lists, tools));
    });
}

function defineAnnotate(manifest: Command, session: Session): void {
  const split = (value: string, earlier: readonly string[]) => [...earlier, ...value.split(',')];
  manifest
    .command('annotate')
    .description('say which platform an image of a list is for')
    .argument('<list>', 'name of the list')
    .argument('<image>', 'image of the list')
    .option('--arch <name>', 'architecture')
    .option('--os <name>', 'operating system')
    .option('--os-features <names>', 'operating system features', split, [])
    .option('--os-version <version>', 'operating system version')
    .option('--variant <name>', 'variant of the architecture')
    .action(async (list: string, image: string, flags: AnnotateFlags, command: Command) => {
      const { annotateMember } = await import('../../images/manifest-list.ts');
      const { osFeatures, ...rest } = flags;
      const change = { ...rest, ...(osFeatures.length > 0 ? { osFeatures } : {}) };
      await withTools([], {}, session, command, tools => annotateMember(list, image, change, tools));
    });
}

async function withTools(
  names: readonly string[],
  flags: ManifestFlags,
  session: Session,
  command: Command,
  work: (tools: ImageTools) => Promise<void>,
): Promise<void> {
  requireAuthFile(flags, session.cwd);
  const hosts = names.map(name => parseReference(name).domain);
  const given = registryOptions(
    flags.insecure ? { ...flags, tlsVerify: 'false' } : flags,
    hosts,
    session.cwd,
  );
  const { openImageTools } = await import('../wire.ts');
  await using wired = await openImageTools(session, command, given);
  await work(wired.images);
}

async function inspected(list: string, image: string | undefined, tools: ImageTools): Promise<string> {
  const { readDocument, readMember } = await import('../../images/manifest-list.ts');
  if (image !== undefined) return shown(await readMember(list, image, tools), '\t');
  const { bytes, mediaType, local } = await readDocument(list, tools);
  return shown(bytes, local || /index|manifest\.list/.test(mediaType) ? 3 : '\t');
}

/** Indented as docker does it. */
function shown(bytes: Uint8Array, indent: number | string): string {
  return `${JSON.stringify(JSON.parse(Buffer.from(bytes).toString('utf8')), null, indent)}\n`;
}
