// Mounts in a namespace of our own.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { bindMount, mountsBelow, mountTmpfs, unmount } from '../../src/host/mount.ts';
import { enterMountNamespace, inMountNamespace } from '../../src/host/namespace.ts';
import { tempDir } from '../support/rootfs.ts';

/** What the rest of the machine sees: a process that was in its namespace before we left it. */
const outside = spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore'], detached: true });
outside.unref();
process.on('exit', () => outside.kill('SIGKILL'));

function seenOutside(path: string): boolean {
  return readFileSync(`/proc/${outside.pid}/mountinfo`, 'utf8').includes(` ${path} `);
}

test('mounts are seen by us, our children and later workers, and by nobody else', async () => {
  using temp = tempDir();
  await readdir(temp.path); // libuv's threads are there before, and stay behind
  enterMountNamespace();
  enterMountNamespace();
  assert.ok(inMountNamespace());
  const dir = join(temp.path, 'm');
  mkdirSync(dir);
  mountTmpfs(dir, { mode: 0o700 });
  try {
    writeFileSync(join(dir, 'inside'), '');
    assert.equal(spawnSync('ls', [dir], { encoding: 'utf8' }).stdout, 'inside\n');
    const worker = new Worker(
      `require('node:worker_threads').parentPort.postMessage(require('node:fs').readdirSync(${JSON.stringify(dir)}))`,
      { eval: true },
    );
    const names = await new Promise(resolve => worker.once('message', resolve));
    assert.deepEqual(names, ['inside']);
    await worker.terminate();
    assert.equal(seenOutside(dir), false);
  } finally {
    unmount(dir);
  }
  assert.deepEqual(readdirSync(dir), []);
});

test('mounts are gone when the process is killed', async () => {
  using temp = tempDir();
  const program = fileURLToPath(new URL('../support/mount-and-wait.js', import.meta.url));
  const child = spawn(process.execPath, [program, temp.path], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) if (line === 'mounted') break;
  assert.match(readFileSync(`/proc/${child.pid}/mountinfo`, 'utf8'), new RegExp(` ${temp.path} `));
  assert.equal(seenOutside(temp.path), false);
  child.kill('SIGKILL');
  await new Promise(resolve => child.once('exit', resolve));
  assert.deepEqual(readdirSync(temp.path), []);
  assert.equal(seenOutside(temp.path), false);
});

test('a read-only bind mount is read-only in everything mounted below it', () => {
  enterMountNamespace();
  using temp = tempDir();
  const [source, target] = [join(temp.path, 'source'), join(temp.path, 'target')];
  mkdirSync(join(source, 'sub'), { recursive: true });
  mkdirSync(target);
  mountTmpfs(join(source, 'sub'));
  bindMount(source, target, { readonly: true });
  try {
    assert.throws(() => writeFileSync(join(target, 'x'), ''), { code: 'EROFS' });
    assert.throws(() => writeFileSync(join(target, 'sub/x'), ''), { code: 'EROFS' });
    writeFileSync(join(source, 'sub/x'), '');
    assert.deepEqual(readdirSync(join(target, 'sub')), ['x']);
    assert.deepEqual(mountsBelow(target), [target, join(target, 'sub')]);
  } finally {
    unmount(target);
    unmount(join(source, 'sub'));
  }
});

test('an open file is mounted on an open file, whatever happens to the names', () => {
  enterMountNamespace();
  using temp = tempDir();
  const [source, target] = [join(temp.path, 'source'), join(temp.path, 'target')];
  writeFileSync(source, 'content');
  writeFileSync(target, '');
  const O_PATH = 0o10000000;
  const [from, to] = [openSync(source, O_PATH), openSync(target, O_PATH)];
  bindMount(from, to);
  closeSync(from);
  closeSync(to);
  try {
    assert.equal(readFileSync(target, 'utf8'), 'content');
  } finally {
    unmount(target);
  }
});

test('unmounting what is not mounted, or not there, does nothing', () => {
  enterMountNamespace();
  using temp = tempDir();
  unmount(temp.path);
  unmount(join(temp.path, 'missing'));
});
