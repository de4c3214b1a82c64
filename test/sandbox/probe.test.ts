// Choosing a sandbox: by trial, remembered, with reasons.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { findProgram } from '../../src/host/probe.ts';
import { chooseSandbox, describeMachine } from '../../src/sandbox/probe.ts';
import { tryOut } from '../../src/sandbox/trial.ts';
import { tempDir } from '../support/rootfs.ts';

/** A directory of PATH with a runc that does nothing, and notes that it was asked to. */
function brokenRuntime(dir: string): string {
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  for (const name of ['runc', 'crun']) {
    const script = `#!/bin/sh\necho "$@" >> ${dir}/calls\ncase "$1" in --version) echo "${name} version 9.9";; esac\nexit 0\n`;
    writeFileSync(join(bin, name), script, { mode: 0o755 });
  }
  return bin;
}

function callsOf(dir: string): number {
  try {
    return readFileSync(join(dir, 'calls'), 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

test('a runtime that exits with 0 without having run anything is not believed', async () => {
  using temp = tempDir();
  const reports = await describeMachine({ path: brokenRuntime(temp.path) });
  const [runc, crun, namespace] = reports;
  assert.deepEqual([runc?.works, crun?.works, namespace?.works], [false, false, true]);
  assert.match(runc?.reason ?? '', /trial run ended unexpectedly: status 0/);
});

test('auto goes down the ladder until something works', async () => {
  using temp = tempDir();
  const sandbox = await chooseSandbox({ path: brokenRuntime(temp.path) });
  assert.equal(sandbox.name, 'namespace');
});

test('a rung asked for is a floor: when it does not work, nothing weaker is taken', async () => {
  using temp = tempDir();
  const chosen = chooseSandbox({ path: brokenRuntime(temp.path), isolation: 'oci' });
  await assert.rejects(chosen, (error: unknown) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, 'sandbox');
    assert.match(error.message, /--isolation=oci/);
    const [runc, crun, ...advice] = error.output;
    assert.match(runc ?? '', /^runc: /);
    assert.match(crun ?? '', /^crun: /);
    assert.match(advice.join('\n'), /^for oci and namespace: CAP_SYS_ADMIN/);
    return true;
  });
});

test('runc is taken on this machine, and remembered without another trial', async () => {
  using temp = tempDir();
  const memory = join(temp.path, 'memory');
  const first = await chooseSandbox({ memory });
  assert.match(first.description, /^runc \d/);
  const { chosen } = JSON.parse(readFileSync(memory, 'utf8'));
  assert.match(chosen.auto, /^runc /);
});

test('what is remembered is not tried again until the boot, the user or the program changes', async () => {
  using temp = tempDir();
  const path = brokenRuntime(temp.path);
  const memory = join(temp.path, 'memory');
  await chooseSandbox({ path, memory });
  const calls = callsOf(temp.path);
  assert.ok(calls > 0);
  await chooseSandbox({ path, memory });
  assert.equal(callsOf(temp.path), calls);
  const remembered = JSON.parse(readFileSync(memory, 'utf8'));
  for (const change of [{ boot: 'another' }, { uid: 12345 }, { chosen: { auto: 'namespace of long ago' } }]) {
    writeFileSync(memory, JSON.stringify({ ...remembered, ...change }));
    const before = callsOf(temp.path);
    await chooseSandbox({ path, memory });
    assert.ok(callsOf(temp.path) > before, JSON.stringify(change));
  }
});

test('a damaged memory is as good as none', async () => {
  using temp = tempDir();
  const memory = join(temp.path, 'memory');
  for (const text of ['', '{', 'null', '{"chosen":7}', '[]']) {
    writeFileSync(memory, text);
    assert.equal((await chooseSandbox({ memory, isolation: 'namespace' })).name, 'namespace');
  }
});

test('a weaker rung is taken when it is asked for, and says that it is no security boundary', async () => {
  const sandbox = await chooseSandbox({ isolation: 'chroot' });
  assert.match(sandbox.description, /^chroot \(no security boundary\)/);
});

test('the trial sees output and status, not just an end', async () => {
  const quiet = {
    ...{ name: 'x', description: 'x', check: () => {} },
    run: async () => ({ kind: 'exited', status: 42 }) as const,
  };
  await assert.rejects(tryOut(quiet, new AbortController().signal), /ended unexpectedly: status 42/);
});

// Version 5.4.0 on newer kernels: with its filter no path is translated. Debian's own on the test machine has no filter.
test('a proot that fails with its acceleration is used without', async () => {
  using temp = tempDir();
  const real = findProgram('proot', process.env.PATH);
  const script = `#!/bin/sh\n[ "$1" = --version ] || [ -n "$PROOT_NO_SECCOMP" ] || exit 255\nexec ${real} "$@"\n`;
  writeFileSync(join(temp.path, 'proot'), script, { mode: 0o755 });
  const path = `${temp.path}:${process.env.PATH}`;
  const memory = join(temp.path, 'memory');
  for (const _time of ['chosen', 'remembered']) {
    const sandbox = await chooseSandbox({ path, memory, isolation: 'proot' });
    await tryOut(sandbox, new AbortController().signal);
  }
  const reports = (await describeMachine({ path })).filter(({ rung }) => rung === 'proot');
  assert.deepEqual(
    reports.map(({ works }) => works),
    [false, true],
  );
  const usual = (await describeMachine()).filter(({ rung }) => rung === 'proot');
  assert.deepEqual(
    usual.map(({ works }) => works),
    [true],
  );
});
