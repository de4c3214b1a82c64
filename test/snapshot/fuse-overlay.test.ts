// fuse-overlayfs: the contract, many layers, and that the program ends with the mount and with slipway.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BuildError } from '../../src/errors.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { setMtime } from '../../src/host/times.ts';
import { readXattrs, writeXattr } from '../../src/host/xattr.ts';
import { fuseOverlayDriver } from '../../src/snapshot/fuse-overlay.ts';
import { snapshotContract } from '../contracts/snapshot.ts';
import { processesWith, waitUntilGone } from '../support/processes.ts';
import { tempDir } from '../support/rootfs.ts';

enterMountNamespace();
snapshotContract(fuseOverlayDriver(), { vagueDirectoryTimes: true });

test('500 layers are mounted', async () => {
  using temp = tempDir();
  const layers = Array.from({ length: 500 }, (_, i) => {
    const layer = join(temp.path, `layer${i}`);
    mkdirSync(layer);
    writeFileSync(join(layer, `file${i}`), '');
    writeFileSync(join(layer, 'last'), `${i}`);
    return layer;
  });
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  const { root, close } = await fuseOverlayDriver().mount(layers, at('upper'), at('scratch'));
  assert.equal(readdirSync(root).length, 501);
  assert.equal(readFileSync(join(root, 'last'), 'utf8'), '499');
  await close();
});

/** A layer with `dir/file` and `dir/deep/file`, whose directories have times of long ago. */
function oldLayer(path: string): string {
  const layer = join(path, 'layer');
  mkdirSync(join(layer, 'dir/deep'), { recursive: true });
  for (const name of ['dir/file', 'dir/deep/file']) writeFileSync(join(layer, name), 'old');
  symlinkSync('file', join(layer, 'dir/link'));
  setMtime(join(layer, 'dir/link'), 1_000_000_007n, { nofollow: true });
  for (const name of ['dir/deep', 'dir', '.']) setMtime(join(layer, name), 1_000_000_007n);
  return layer;
}

async function changed(path: string, change: (root: string) => void): Promise<(name: string) => bigint> {
  const at = (name: string) => mkdtempSync(join(path, name));
  const upper = at('upper');
  const snapshot = await fuseOverlayDriver().mount([oldLayer(path)], upper, at('scratch'));
  change(snapshot.root);
  await snapshot.close();
  return name => lstatSync(join(upper, name), { bigint: true }).mtimeNs;
}

test('a directory in which something was only changed has its time still', async () => {
  using temp = tempDir();
  const timeOf = await changed(temp.path, root => {
    chmodSync(join(root, 'dir/file'), 0o4755);
    lchownSync(join(root, 'dir/link'), 5, 6);
    writeFileSync(join(root, 'dir/deep/file'), 'new');
  });
  for (const name of ['dir/deep', 'dir/link', 'dir', '.']) assert.equal(timeOf(name), 1_000_000_007n, name);
});

test('a directory in which something was made, removed or replaced has a new time, or the one it was given', async () => {
  using temp = tempDir();
  const timeOf = await changed(temp.path, root => {
    rmSync(join(root, 'dir/deep/file'));
    writeFileSync(join(root, 'dir/new'), '');
    renameSync(join(root, 'dir/new'), join(root, 'dir/file'));
    setMtime(root, 9n);
  });
  assert.ok(timeOf('dir/deep') > 1_000_000_007n);
  assert.ok(timeOf('dir') > 1_000_000_007n);
  assert.equal(timeOf('.'), 9n);
});

test('attributes that the program keeps, or that a step sets in its name, are not in what is collected', async () => {
  using temp = tempDir();
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  const upper = at('upper');
  const snapshot = await fuseOverlayDriver().mount([oldLayer(temp.path)], upper, at('scratch'));
  chmodSync(join(snapshot.root, 'dir/file'), 0o600);
  writeXattr(join(snapshot.root, 'dir'), 'user.overlay.opaque', Buffer.from('y'));
  writeXattr(join(snapshot.root, 'dir/file'), 'user.mine', Buffer.from('kept'));
  await snapshot.close();
  assert.deepEqual([...readXattrs(join(upper, 'dir')).keys()], []);
  assert.deepEqual([...readXattrs(join(upper, 'dir/file')).keys()], ['user.mine']);
});

test('the program ends with the mount', async () => {
  using temp = tempDir();
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  const { close } = await fuseOverlayDriver().mount([], at('upper'), at('scratch'));
  assert.equal(processesWith(temp.path).length, 1);
  await close();
  assert.deepEqual(processesWith(temp.path), []);
});

test('the program ends when slipway is killed', async () => {
  using temp = tempDir();
  const waiting = fileURLToPath(new URL('../support/fuse-and-wait.js', import.meta.url));
  const child = spawn(process.execPath, [waiting, temp.path], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(child.stdout);
  const [line] = await once(createInterface(child.stdout), 'line');
  assert.equal(line, 'mounted');
  assert.equal(processesWith(temp.path).length, 2);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await waitUntilGone(temp.path);
});

test('a program that is killed meanwhile is an error', async () => {
  using temp = tempDir();
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  const scratch = at('scratch');
  const { root, close } = await fuseOverlayDriver().mount([], at('upper'), scratch);
  for (const pid of processesWith(temp.path)) process.kill(Number(pid), 'SIGKILL');
  await waitUntilGone(temp.path);
  assert.throws(() => readdirSync(root), { code: 'ENOTCONN' });
  await assert.rejects(close(), /fuse-overlayfs ended before the step: ENOTCONN/);
  assert.deepEqual(readdirSync(scratch), []);
});

test('what is in the way is said, and nothing is left behind', async () => {
  using temp = tempDir();
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  const scratch = at('scratch');
  const file = join(temp.path, 'no-directory');
  writeFileSync(file, '');
  await assert.rejects(fuseOverlayDriver().mount([file], at('upper'), scratch), (error: unknown) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, 'sandbox');
    assert.match(error.message, /^fuse-overlayfs: .*cannot/);
    return true;
  });
  assert.deepEqual(readdirSync(scratch), []);
  assert.deepEqual(processesWith(temp.path), []);
});
