// slipway image export, tree and diff: what is inside of images.
import type { Command } from 'commander';
import { printable } from '../../errors.ts';
import type { Session } from '../session.ts';

interface PlatformFlags {
  readonly platform?: string;
}

interface ExportFlags extends PlatformFlags {
  readonly output?: string;
}

const imageArgument = 'name, id, or docker-archive:, oci-archive:, oci:, docker:// reference';
const platformFlag = ['--platform <os/arch[/variant]>', 'platform of an image of several'] as const;

export function defineImageExport(parent: Command, session: Session): void {
  parent
    .command('export')
    .description('write the file system of an image as a tar')
    .argument('<image>', imageArgument)
    .option('-o, --output <path>', 'file to write (default: standard output)')
    .option(...platformFlag)
    .action((name: string, flags: ExportFlags, command: Command) =>
      exportFiles(name, flags, session, command),
    );
}

async function exportFiles(
  name: string,
  flags: ExportFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { openImage }, { finishedFrom }, { exportTar }, { viewOf }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/source.ts'),
    import('../../images/pack-stored.ts'),
    import('../../export/tar.ts'),
    import('../../images/diff.ts'),
  ]);
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  const image = await openImage(name, tools, await platformOf(flags));
  const finished = await finishedFrom(image.manifest, tools);
  await exportTar(
    { kind: 'image', image: finished },
    { kind: 'tar', dest: flags.output ?? '-' },
    {
      store: tools.store,
      layers: tools.layers,
      view: () => viewOf(image, tools),
      push: wired.push,
      stdout: process.stdout,
      stdoutIsTerminal: process.stdout.isTTY === true,
      cwd: session.cwd,
    },
    session.signal,
  );
}

export function defineImageTree(parent: Command, session: Session): void {
  parent
    .command('tree')
    .description('show the layers of an image')
    .argument('<image>', imageArgument)
    .option(...platformFlag)
    .action((name: string, flags: PlatformFlags, command: Command) =>
      showTree(name, flags, session, command),
    );
}

async function showTree(
  name: string,
  flags: PlatformFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { openImage }, { layerTree }, { listLocalImages }, { formatSize }, { shortId }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/source.ts'),
      import('../../images/tree.ts'),
      import('../../images/catalog.ts'),
      import('../format.ts'),
      import('../../image/digest.ts'),
    ]);
  await using wired = await openImageTools(session, command);
  const image = await openImage(name, wired.images, await platformOf(flags));
  const layers = await layerTree(image, await listLocalImages(wired.images.store), wired.images);
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  const lines = layers.map((layer, i) => {
    const top = layer.topOf.length > 0 ? ` Top Layer of: [${layer.topOf.map(printable).join(' ')}]` : '';
    const branch = i === layers.length - 1 ? '└──' : '├──';
    return `${branch} ID: ${shortId(layer.id)} Size: ${formatSize(layer.size)}${top}`;
  });
  session.out(
    `Image ID: ${shortId(image.id)}\nTags:     [${image.tags.map(printable).join(' ')}]\nSize:     ${formatSize(size)}\n${
      lines.length > 0 ? `Image Layers\n${lines.join('\n')}` : 'No Image Layers'
    }\n`,
  );
}

interface DiffFlags extends PlatformFlags {
  readonly format?: string;
}

export function defineImageDiff(parent: Command, session: Session): void {
  parent
    .command('diff')
    .description(
      'show which files differ between two images: A only in the second, D only in the first, C changed',
    )
    .argument('<first>', imageArgument)
    .argument('<second>', imageArgument)
    .option('--format <format>', 'json, in place of one line for each file')
    .option(...platformFlag)
    .action((first: string, second: string, flags: DiffFlags, command: Command) =>
      showDiff([first, second], flags, session, command),
    );
}

async function showDiff(
  [first, second]: readonly [string, string],
  flags: DiffFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { openImage }, { diffImages }, { showPath }, { requireJson }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/source.ts'),
      import('../../images/diff.ts'),
      import('../../tree/entry.ts'),
      import('../listing.ts'),
    ]);
  requireJson(flags.format);
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  const platform = await platformOf(flags);
  const before = await openImage(first, tools, platform);
  const found = await diffImages(before, await openImage(second, tools, platform), tools);
  const paths = found.map(({ kind, path }) => ({ kind, path: `/${showPath(path)}` }));
  if (flags.format) session.out(`${JSON.stringify(paths)}\n`);
  else session.out(paths.map(({ kind, path }) => `${kind} ${printable(path)}\n`).join(''));
}

async function platformOf({ platform }: PlatformFlags) {
  if (platform === undefined) return undefined;
  const { parsePlatform } = await import('../../image/platform.ts');
  return parsePlatform(platform);
}
