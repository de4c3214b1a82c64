// slipway history, image history: how an image came to be, as docker shows it.
import { type Command, Option } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { HistoryRow } from '../../images/history.ts';
import type { Session } from '../session.ts';

interface HistoryFlags {
  readonly format?: string;
  readonly human: boolean | string;
  readonly trunc: boolean;
  readonly platform?: string;
  readonly quiet?: boolean;
}

const heads = {
  ID: 'IMAGE',
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  CreatedBy: 'CREATED BY',
  Size: 'SIZE',
  Comment: 'COMMENT',
};

export function defineHistory(parent: Command, session: Session): void {
  parent
    .command('history')
    .description('show how an image came to be')
    .argument('<image>', 'name, id, or docker-archive:, oci-archive:, oci:, docker:// reference')
    .option('--format <format>', 'table, "table TEMPLATE", json or a Go template for each row')
    .addOption(new Option('-H, --human [bool]', 'sizes and dates for people').default('true'))
    .option('--no-trunc', 'do not shorten')
    .option('--platform <os/arch[/variant]>', 'platform to show of an image of several')
    .option('-q, --quiet', 'print ids only')
    .action((name: string, flags: HistoryFlags, command: Command) =>
      showHistory(name, flags, session, command),
    );
}

async function showHistory(
  name: string,
  flags: HistoryFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const human = isHuman(flags.human);
  const [{ openImageTools }, { openImage }, { layerSizes }, { historyOf }, { parsePlatform }, listing] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/source.ts'),
      import('../../images/sizes.ts'),
      import('../../images/history.ts'),
      import('../../image/platform.ts'),
      import('../listing.ts'),
    ]);
  const platform = flags.platform ? parsePlatform(flags.platform) : undefined;
  await using wired = await openImageTools(session, command);
  const image = await openImage(name, wired.images, platform);
  const history = historyOf(image.config, image.id, await layerSizes(image, wired.images));
  const rows = await Promise.all(history.map(row => historyRow(row, human, flags.trunc)));
  const columns = ['ID', human ? 'CreatedSince' : 'CreatedAt', 'CreatedBy', 'Size', 'Comment'];
  const format = flags.format ?? (flags.quiet ? '{{.ID}}' : undefined);
  session.out(listing.renderListing({ heads, columns, rows }, format));
}

async function historyRow(row: HistoryRow, human: boolean, trunc: boolean): Promise<Record<string, string>> {
  const [{ ago, formatSize, localRfc3339 }, { ellipsis }, { shortId }] = await Promise.all([
    import('../format.ts'),
    import('../width.ts'),
    import('../../image/digest.ts'),
  ]);
  const createdBy = printable(row.createdBy.replaceAll('\t', ' '));
  const created = row.created ? localRfc3339(row.created) : 'N/A';
  return {
    ID: row.id ? (trunc ? shortId(row.id) : row.id) : '<missing>',
    CreatedAt: created,
    CreatedSince: human && row.created ? ago(row.created, Date.now()) : created,
    CreatedBy: trunc ? ellipsis(createdBy, 45) : createdBy,
    Size: human ? formatSize(row.size) : String(row.size),
    Comment: printable(row.comment),
  };
}

/** `-H`, `--human=false`, `-H=false`. */
function isHuman(value: boolean | string): boolean {
  const text = String(value).replace(/^=/, '').toLowerCase();
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new BuildError('usage', `--human is true or false, not "${printable(text)}"`);
}
