// A program for tests: mounts something in a namespace of its own, and waits to be killed. argv: directory.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountTmpfs } from '../../src/host/mount.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';

const [, , dir = ''] = process.argv;
enterMountNamespace();
mountTmpfs(dir);
writeFileSync(join(dir, 'in-memory'), '');
console.log('mounted');
setInterval(() => {}, 1000);
