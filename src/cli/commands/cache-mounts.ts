// slipway cache mounts: the directories of RUN --mount=type=cache that are kept between builds.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { StoredMount } from '../../store/mounts.ts';
import type { Session } from '../session.ts';

export function defineCacheMounts(cache: Command, session: Session): void {
  const mounts = cache.command('mounts').description('list or remove what RUN --mount=type=cache keeps');
  mounts
    .command('ls', { isDefault: true })
    .description('list them: who wrote them, how large they are, when they were used last')
    .option('--json', 'as JSON, sizes in bytes')
    .action(async (flags: { readonly json?: boolean }, command: Command) => {
      await using opened = await openMounts(session, command);
      session.out(await listing(opened, flags.json ?? false));
    });
  mounts
    .command('prune')
    .description('remove cache mounts that no step is using')
    .argument('[mount...]', 'names or ids (or the beginning of one) as listed (default: all)')
    .option('--dry-run', 'only say what would be removed')
    .option('-f, --force', 'do not ask')
    .action(async (wanted: string[], flags: PruneFlags, command: Command) => {
      await using opened = await openMounts(session, command);
      const chosen = wanted.length === 0 ? opened.mounts : pick(opened.mounts, wanted);
      if (wanted.length === 0 && !flags.force && !flags.dryRun && process.stdin.isTTY) {
        const { confirm } = await import('../confirm.ts');
        if (!(await confirm('This removes all cache mounts.', session))) return;
      }
      session.out(await remove(opened, chosen, { dryRun: flags.dryRun ?? false, named: wanted.length > 0 }));
    });
}

interface PruneFlags {
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

type MountsModule = Pick<typeof import('../../store/mounts.ts'), 'isInUse' | 'removeMount'>;

interface OpenedMounts extends MountsModule {
  readonly mounts: readonly StoredMount[];
  [Symbol.asyncDispose](): Promise<void>;
}

async function openMounts(session: Session, command: Command): Promise<OpenedMounts> {
  const [{ openStoreFor }, { listMounts, isInUse, removeMount }] = await Promise.all([
    import('../wire.ts'),
    import('../../store/mounts.ts'),
  ]);
  const store = await openStoreFor(session, command);
  const mounts = [...listMounts(store.root)].sort((a, b) => b.lastUsedMs - a.lastUsedMs);
  return { mounts, isInUse, removeMount, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

async function listing({ mounts, isInUse }: OpenedMounts, asJson: boolean): Promise<string> {
  if (asJson) {
    const facts = mounts.map(mount => ({
      id: mount.id,
      name: mount.name,
      sharing: mount.sharing ?? null,
      bytes: mount.bytes,
      lastUsed: new Date(mount.lastUsedMs).toISOString(),
      inUse: isInUse(mount),
      path: `${mount.path}/fs`,
    }));
    return `${JSON.stringify(facts, null, 2)}\n`;
  }
  const [{ table }, { ago, formatSize }] = await Promise.all([import('../table.ts'), import('../format.ts')]);
  return table([
    ['ID', 'SHARING', 'LAST USED', 'SIZE', 'IN USE', 'NAME'],
    ...mounts.map(mount => [
      shortened(mount),
      mount.sharing ?? 'N/A',
      ago(new Date(mount.lastUsedMs).toISOString(), Date.now()),
      formatSize(mount.bytes),
      isInUse(mount) ? 'yes' : 'no',
      printable(mount.name).slice(0, 100),
    ]),
  ]);
}

function shortened({ id }: StoredMount): string {
  return id.replace(/^([0-9a-f]{12})[^/]*/, '$1');
}

/** A name stands for all copies of a mount. @throws BuildError `not-found` before anything is removed */
function pick(mounts: readonly StoredMount[], wanted: readonly string[]): readonly StoredMount[] {
  const picked = wanted.flatMap(text => {
    const found = mounts.filter(mount => mount.name === text || hasId(mount, text));
    if (found.length > 0) return found;
    throw new BuildError('not-found', `there is no cache mount ${printable(text)}`, {
      hint: 'slipway cache mounts lists them',
    });
  });
  return [...new Set(picked)];
}

/** `4b825dc642cb`, or with the number of the copy: `4b825dc642cb/1`. */
function hasId({ id }: StoredMount, text: string): boolean {
  const [, hash, slot] = /^([0-9a-f]{6,64})(?:\/(\d+))?$/.exec(text) ?? [];
  if (hash === undefined || !id.startsWith(hash)) return false;
  return slot === undefined || id.endsWith(`/${slot}`);
}

async function remove(
  { isInUse, removeMount }: OpenedMounts,
  chosen: readonly StoredMount[],
  { dryRun, named }: { readonly dryRun: boolean; readonly named: boolean },
): Promise<string> {
  const removed: StoredMount[] = [];
  const kept: StoredMount[] = [];
  for (const mount of chosen) {
    const isGone = dryRun ? !isInUse(mount) : await removeMount(mount);
    (isGone ? removed : kept).push(mount);
  }
  const [first] = kept;
  if (named && first !== undefined) {
    const others = removed.length === 0 ? '' : `; removed: ${removed.map(shortened).join(', ')}`;
    throw new BuildError('store', `the cache mount ${printable(first.name)} is in use${others}`, {
      hint: 'wait until the build that uses it has ended',
    });
  }
  const { formatSize } = await import('../format.ts');
  const freed = formatSize(removed.reduce((sum, { bytes }) => sum + bytes, 0));
  const lines = [
    ...removed.map(mount => `${shortened(mount)}  ${printable(mount.name)}`),
    ...(kept.length > 0 ? [`In use, kept: ${kept.length}`] : []),
    `${dryRun ? 'Would be freed' : 'Total'}: ${freed}`,
  ];
  return `${lines.join('\n')}\n`;
}
