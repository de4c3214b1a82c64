// slipway info: what was found on this machine.
import type { Command } from 'commander';
import { printable } from '../../errors.ts';
import { defaultSpecDirs } from '../../sandbox/cdi/names.ts';
import { cdiDirsOf } from '../options/entitlements.ts';
import { cdiSpecDirOption } from '../options/rights-options.ts';
import type { Session } from '../session.ts';
import { version } from '../version.ts';

interface InfoFlags {
  readonly json?: boolean;
  readonly cdiSpecDir: readonly string[];
}

export function defineInfo(program: Command, session: Session): void {
  program
    .command('info')
    .description('show what slipway found on this machine: sandbox, snapshots, devices, store, versions')
    .option('--json', 'as JSON')
    .addOption(cdiSpecDirOption())
    .action(async (flags: InfoFlags, command: Command) => {
      const [{ openStoreFor }, { describeMachine }, { hostPlatform, formatPlatform }] = await Promise.all([
        import('../wire.ts'),
        import('../../sandbox/probe.ts'),
        import('../../image/platform.ts'),
      ]);
      const dirs = cdiDirsOf(flags.cdiSpecDir, session.cwd);
      await using store = await openStoreFor(session, command);
      const { describeSnapshots } = await import('../../snapshot/probe.ts');
      const sandboxes = await describeMachine({ signal: session.signal });
      const snapshots = await describeSnapshots(store.tmp);
      const { describeDevices } = await import('../../build/devices.ts');
      const devices = await describeDevices(dirs.length === 0 ? defaultSpecDirs : dirs);
      const facts = {
        version,
        node: process.version,
        platform: formatPlatform(hostPlatform()),
        store: store.root,
        images: store.names.list().length,
        sandboxes,
        snapshots,
        devices: devices.known,
      };
      if (flags.json) {
        session.out(`${JSON.stringify(facts, null, 2)}\n`);
        return;
      }
      const chosen = sandboxes.find(rung => rung.works);
      const lines = [
        `slipway    ${version}`,
        `node       ${facts.node}`,
        `platform   ${facts.platform}`,
        `store      ${facts.store} (${facts.images} named image${facts.images === 1 ? '' : 's'})`,
        ...sandboxes.map(rung => `sandbox    ${mark(rung, rung === chosen)}`),
        ...snapshots.map(
          (driver, i) =>
            `snapshots  ${mark(driver, driver.works && snapshots.findIndex(d => d.works) === i)}`,
        ),
        ...devices.known.map(
          ({ name, file, allowed }) =>
            `device     ${name} (${printable(file)}${allowed ? ', needs no --allow' : ''})`,
        ),
        ...devices.faults.map(fault => `device     ${fault}`),
      ];
      session.out(`${lines.join('\n')}\n`);
    });
}

function mark(report: { description: string; works: boolean; reason?: string }, chosen: boolean): string {
  if (chosen) return `${report.description} (taken)`;
  return report.works
    ? report.description
    : `${report.description}: not here, ${report.reason ?? 'for unknown reasons'}`;
}
