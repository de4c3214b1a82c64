// slipway images, image ls: what the local store holds, as docker lists it.
import type { Command } from 'commander';
import type { LocalImage } from '../../images/catalog.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';

interface ImagesFlags {
  readonly all?: boolean;
  readonly quiet?: boolean;
  readonly digests?: boolean;
  readonly trunc: boolean;
  readonly filter: readonly string[];
  readonly format?: string;
  readonly tree?: boolean;
}

export function defineImages(parent: Command, session: Session, name = 'images'): void {
  const command = parent
    .command(name)
    .description('list the images in the local store')
    .argument('[reference]', 'only images of this name, REPOSITORY[:TAG]; may be a pattern')
    .option('-a, --all', 'accepted for docker compatibility: there are no intermediate images')
    .option('--digests', 'show digests')
    .addOption(
      repeated(
        '-f, --filter <key=value>',
        'dangling=true, label=name[=value], before=image, since=image, reference=pattern, until=time',
      ),
    )
    .option('--format <format>', 'table, "table TEMPLATE", json or a Go template for each image')
    .option('--no-trunc', 'do not shorten ids')
    .option('-q, --quiet', 'print ids only')
    .option('--tree', 'show the platforms of each image')
    .action((reference: string | undefined, flags: ImagesFlags, self: Command) =>
      listImages(reference, flags, session, self),
    );
  if (name === 'ls') command.alias('list');
}

async function listImages(
  reference: string | undefined,
  flags: ImagesFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, catalog, filters, { imageSize }, { renderListing }] = await Promise.all([
    import('../wire.ts'),
    import('../../images/catalog.ts'),
    import('../../images/filter.ts'),
    import('../../images/sizes.ts'),
    import('../listing.ts'),
  ]);
  const given = filters.parseListFilter(flags.filter, Date.now());
  const filter = reference ? { ...given, references: [...given.references, reference] } : given;
  await using wired = await openImageTools(session, command);
  const tools = wired.images;
  const images = filters.filterImages(await catalog.listLocalImages(tools.store), filter);
  if (flags.tree) {
    const { imageTree } = await import('../image-tree.ts');
    session.out(await imageTree(images, flags, tools));
    return;
  }
  const withDigests = flags.digests === true || /\{\{[^}]*\.Digest\b/.test(flags.format ?? '');
  const rows: Record<string, string>[] = [];
  for (const image of images) {
    const size = await imageSize(image, tools);
    rows.push(...(await imageRows(image, size, withDigests, flags)));
  }
  await tools.store.meta.flush();
  const shown = flags.format ?? (flags.quiet ? '{{.ID}}' : undefined);
  const columns = ['Repository', 'Tag', ...(flags.digests ? ['Digest'] : []), 'ID', 'CreatedSince', 'Size'];
  session.out(renderListing({ heads, columns, rows }, shown));
}

const heads = {
  ID: 'IMAGE ID',
  Repository: 'REPOSITORY',
  Tag: 'TAG',
  Digest: 'DIGEST',
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  Size: 'SIZE',
  VirtualSize: 'SIZE',
  SharedSize: 'SHARED SIZE',
  UniqueSize: 'UNIQUE SIZE',
  Containers: 'CONTAINERS',
};

/** One for each tag and digest. */
async function imageRows(
  image: LocalImage,
  size: number,
  withDigests: boolean,
  flags: ImagesFlags,
): Promise<Record<string, string>[]> {
  const { ago, formatSize, goTime } = await import('../format.ts');
  const { shortId } = await import('../../image/digest.ts');
  const created = image.config.created;
  const common = {
    ID: flags.trunc ? shortId(image.id) : image.id,
    CreatedSince: created ? ago(created, Date.now()) : 'N/A',
    // The name of a time zone costs 10 ms, and only a format can ask for it.
    CreatedAt: created && flags.format !== undefined ? goTime(created) : 'N/A',
    Size: formatSize(size),
    VirtualSize: formatSize(size, 4),
    SharedSize: 'N/A',
    UniqueSize: 'N/A',
    Containers: 'N/A',
  };
  return (await nameRows(image, withDigests, flags.digests === true)).map(name => ({ ...common, ...name }));
}

type NameRow = { readonly Repository: string; readonly Tag: string; readonly Digest: string };

const none = '<none>';

async function nameRows(image: LocalImage, withDigests: boolean, digestRows: boolean): Promise<NameRow[]> {
  if (image.names.length === 0) return [{ Repository: none, Tag: none, Digest: none }];
  const { familiarName, parseReference } = await import('../../image/reference.ts');
  const names = image.names.map(({ name }) => parseReference(name));
  const rows: NameRow[] = [];
  for (const Repository of new Set(names.map(familiarName))) {
    const own = names.filter(name => familiarName(name) === Repository);
    const digests = own.flatMap(({ digest }) => (digest ? [digest as string] : []));
    const tags = own.flatMap(({ tag, digest }) => (tag && !digest ? [tag] : []));
    const shown = withDigests && digests.length > 0 ? digests : [none];
    if (tags.length > 0)
      rows.push(...tags.flatMap(Tag => shown.map(Digest => ({ Repository, Tag, Digest }))));
    else if (digestRows) rows.push(...digests.map(Digest => ({ Repository, Tag: none, Digest })));
    else rows.push({ Repository, Tag: none, Digest: digests[0] ?? none });
  }
  return rows;
}
