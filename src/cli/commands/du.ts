// slipway du: what the local store holds and how much of it could go.
import type { Command } from 'commander';
import { printable } from '../../errors.ts';
import type { Inventory } from '../../store/inventory.ts';
import type { Session } from '../session.ts';

interface DuFlags {
  readonly verbose?: boolean;
  readonly json?: boolean;
}

interface Row {
  readonly type: string;
  readonly id: string;
  readonly description: string;
  /** What would be freed if nothing else needed it too. */
  readonly bytes: number;
  /** Others need some of it as well. */
  readonly shared: boolean;
  readonly reclaimable: boolean;
  readonly lastUsed: string | undefined;
}

interface Sum {
  readonly type: string;
  readonly count: number;
  /** Shared objects count for the first of the types only. */
  readonly bytes: number;
  readonly reclaimableBytes: number;
}

export function defineDu(program: Command, session: Session): void {
  program
    .command('du')
    .description('show what the local store takes on disk')
    .option('-v, --verbose', 'every image, base, step and mount')
    .option('--json', 'as JSON, sizes in bytes')
    .action(async (flags: DuFlags, command: Command) => {
      const [{ openStoreFor }, { takeInventory }] = await Promise.all([
        import('../wire.ts'),
        import('../../store/inventory.ts'),
      ]);
      await using store = await openStoreFor(session, command);
      const inventory = await takeInventory(store);
      const sums = sumsOf(inventory);
      const totalBytes = sums.reduce((sum, { bytes }) => sum + bytes, 0);
      const reclaimableBytes = sums.reduce((sum, row) => sum + row.reclaimableBytes, 0);
      if (flags.json) {
        const items = rowsOf(inventory);
        session.out(`${JSON.stringify({ totalBytes, reclaimableBytes, types: sums, items }, null, 2)}\n`);
        return;
      }
      session.out(
        await asText(flags.verbose ? rowsOf(inventory) : undefined, sums, totalBytes, reclaimableBytes),
      );
    });
}

async function asText(
  rows: readonly Row[] | undefined,
  sums: readonly Sum[],
  totalBytes: number,
  reclaimableBytes: number,
): Promise<string> {
  const [{ table }, { ago, formatSize }] = await Promise.all([import('../table.ts'), import('../format.ts')]);
  const summary = table([
    ['TYPE', 'COUNT', 'SIZE', 'RECLAIMABLE'],
    ...sums.map(sum => [
      sum.type,
      String(sum.count),
      formatSize(sum.bytes),
      formatSize(sum.reclaimableBytes),
    ]),
  ]);
  const totals = `Reclaimable: ${formatSize(reclaimableBytes)}\nTotal:       ${formatSize(totalBytes)}\n`;
  if (!rows) return `${summary}\n${totals}`;
  const list = table([
    ['TYPE', 'ID', 'LAST USED', 'SIZE', 'RECLAIMABLE', 'DESCRIPTION'],
    ...rows.map(row => [
      row.type,
      shortened(row),
      row.lastUsed ? ago(row.lastUsed, Date.now()) : 'N/A',
      `${formatSize(row.bytes)}${row.shared ? '*' : ''}`,
      String(row.reclaimable),
      printable(row.description.replace(/\s+/g, ' ')).slice(0, 80),
    ]),
  ]);
  return `${list}* some of it is needed by others too\n\n${summary}\n${totals}`;
}

function shortened({ type, id }: Row): string {
  if (type === 'step') return id.replace(/^sha256:/, '').slice(0, 12);
  if (type === 'mount') return id.replace(/^([0-9a-f]{12})[^/]*/, '$1');
  return id.replace(/^((?:blob )?sha256:.{12}).*/, '$1').replace(/^(tree .{12}).*/, '$1');
}

function rowsOf({ objects, holders, mounts }: Inventory): Row[] {
  const needs = new Map<string, number>();
  for (const holder of holders) for (const id of holder.objects) needs.set(id, (needs.get(id) ?? 0) + 1);
  const date = (ms: number) => (ms > 0 ? new Date(ms).toISOString() : undefined);
  return [
    ...holders.map(({ type, id, description, objects: own, lastUsedMs }) => ({
      type,
      id,
      description,
      bytes: own.reduce((sum, object) => sum + (objects.get(object)?.bytes ?? 0), 0),
      shared: own.some(object => (needs.get(object) ?? 0) > 1),
      reclaimable: type !== 'image',
      lastUsed: date(lastUsedMs),
    })),
    ...mounts.map(({ id, name, bytes, lastUsedMs }) => ({
      type: 'mount',
      id,
      description: name,
      bytes,
      shared: false,
      reclaimable: true,
      lastUsed: date(lastUsedMs),
    })),
    ...[...objects.values()]
      .filter(({ id }) => !needs.has(id))
      .map(({ id, bytes, lastUsedMs }) => ({
        type: 'other',
        id,
        description: 'needed by nothing',
        bytes,
        shared: false,
        reclaimable: true,
        lastUsed: date(lastUsedMs),
      })),
  ];
}

function sumsOf({ objects, holders, mounts, databaseBytes }: Inventory): Sum[] {
  const counted = new Set<string>();
  const sums = (['image', 'untagged', 'base', 'step', 'log'] as const).map(type => {
    const own = holders.filter(holder => holder.type === type);
    let bytes = 0;
    for (const id of own.flatMap(holder => holder.objects)) {
      if (counted.has(id)) continue;
      counted.add(id);
      bytes += objects.get(id)?.bytes ?? 0;
    }
    return { type, count: own.length, bytes, reclaimableBytes: type === 'image' ? 0 : bytes };
  });
  const others = [...objects.values()].filter(({ id }) => !counted.has(id));
  const mountBytes = mounts.reduce((sum, { bytes }) => sum + bytes, 0);
  const otherBytes = others.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...sums,
    { type: 'mount', count: mounts.length, bytes: mountBytes, reclaimableBytes: mountBytes },
    { type: 'other', count: others.length, bytes: otherBytes, reclaimableBytes: otherBytes },
    { type: 'database', count: 1, bytes: databaseBytes, reclaimableBytes: 0 },
  ];
}
