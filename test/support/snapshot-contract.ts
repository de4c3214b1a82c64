// A program for tests: what every snapshot driver promises, kept by one driver for an ordinary user. It goes on as root of
// a user namespace where it is told to. argv: user or namespace, driver, names of promises that are left out.
import { canGiveOwners, rootlessOf } from '../../src/host/ids.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { enterUserNamespace } from '../../src/sandbox/rootless.ts';
import { copyingDriver } from '../../src/snapshot/copying.ts';
import { fuseOverlayDriver } from '../../src/snapshot/fuse-overlay.ts';
import { overlayDriver } from '../../src/snapshot/overlay.ts';
import { snapshotContract } from '../contracts/snapshot.ts';

const [, , where, name = '', ...exceptions] = process.argv;
if (where === 'namespace') {
  if (rootlessOf(process.env) === undefined) {
    throw new Error(await enterUserNamespace([process.execPath, ...process.argv.slice(1)], process.env));
  }
  enterMountNamespace();
}
const drivers = {
  overlay: () => overlayDriver({ userXattr: true }),
  'fuse-overlayfs': fuseOverlayDriver,
  copy: copyingDriver,
};
const driver = drivers[name as keyof typeof drivers]();
const own = [process.getuid?.() ?? 0, process.getgid?.() ?? 0] as const;
snapshotContract(driver, {
  exceptions,
  vagueDirectoryTimes: name === 'fuse-overlayfs',
  ...(canGiveOwners() ? {} : { ids: own }),
});
