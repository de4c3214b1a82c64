// A program for tests: mounts a snapshot by fuse-overlayfs, and waits to be killed. argv: directory.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { fuseOverlayDriver } from '../../src/snapshot/fuse-overlay.ts';

const [, , dir = ''] = process.argv;
enterMountNamespace();
for (const name of ['upper', 'scratch']) mkdirSync(join(dir, name));
await fuseOverlayDriver().mount([], join(dir, 'upper'), join(dir, 'scratch'));
console.log('mounted');
setInterval(() => {}, 1000);
