// images --tree: each image with its platforms, as docker shows them.
import { BuildError } from '../errors.ts';
import { shortId } from '../image/digest.ts';
import { type LocalImage, tagsOf } from '../images/catalog.ts';
import type { ImageTools } from '../images/tools.ts';
import { imageVariants, type Variant } from '../images/variants.ts';
import { formatSize } from './format.ts';
import { table } from './table.ts';

/** Flags that docker does not take together with --tree either. */
interface OtherFlags {
  readonly quiet?: boolean;
  readonly digests?: boolean;
  readonly format?: string;
  readonly trunc: boolean;
}

/** @throws BuildError `usage` for flags that have no meaning for a tree */
export async function imageTree(
  images: readonly LocalImage[],
  flags: OtherFlags,
  tools: ImageTools,
): Promise<string> {
  refuseOthers(flags);
  const rows: string[][] = [];
  for (const image of images) rows.push(...rowsOf(image, await imageVariants(image, tools)));
  await tools.store.meta.flush();
  return table([['IMAGE', 'ID', 'DISK USAGE', 'CONTENT SIZE'], ...rows]);
}

/** All names in lines of their own, the first with the sums, then the platforms. */
function rowsOf(image: LocalImage, variants: readonly Variant[]): string[][] {
  const [first = '<untagged>', ...more] = tagsOf(image);
  const isIndex = variants.length > 1 || variants[0]?.digest !== image.descriptor.digest;
  const sum = (of: (variant: Variant) => number) =>
    formatSize(variants.reduce((all, one) => all + of(one), 0));
  const id = shortId(isIndex ? image.descriptor.digest : image.id);
  const head = [first, id, sum(each => each.size + each.contentSize), sum(each => each.contentSize)];
  const platforms = variants.map((each, i) => [
    `${i === variants.length - 1 ? '└─' : '├─'} ${each.platform}`,
    shortId(each.digest),
    formatSize(each.size + each.contentSize),
    formatSize(each.contentSize),
  ]);
  return [head, ...more.map(name => [name, '', '', '']), ...(isIndex ? platforms : [])];
}

function refuseOthers({ quiet, digests, format, trunc }: OtherFlags): void {
  const asked = [
    ...(quiet ? ['--quiet'] : []),
    ...(digests ? ['--digests'] : []),
    ...(format === undefined ? [] : ['--format']),
    ...(trunc ? [] : ['--no-trunc']),
  ];
  if (asked.length > 0) throw new BuildError('usage', `${asked.join(' and ')} cannot be used with --tree`);
}
