// Nothing that a step started survives slipway, however slipway ends.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeRootfs, tempDir } from '../support/rootfs.ts';

const runner = fileURLToPath(new URL('../support/run-step.js', import.meta.url));

/** Starts a process that runs a step through a rung; resolves when the step has said that it is ready. */
async function startStep(rung: string, rootfs: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [runner, rung, rootfs], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) {
    if (line === 'ready') return child;
  }
  throw new Error('the step has not begun');
}

/** Processes whose command line has the marker that the step's commands have. */
function survivors(marker: string): readonly string[] {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(marker);
    } catch {
      return false;
    }
  });
}

async function waitUntilGone(marker: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (survivors(marker).length > 0) {
    assert.ok(Date.now() < deadline, `still there: ${survivors(marker)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

for (const rung of ['oci', 'namespace']) {
  describe(`a step run by ${rung}`, () => {
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
      test(`ends when slipway ends by ${signal}, with what it started in sessions of its own`, async () => {
        using temp = tempDir();
        const rootfs = join(temp.path, 'rootfs');
        mkdirSync(rootfs);
        makeRootfs(rootfs);
        const child = await startStep(rung, rootfs);
        assert.ok(survivors(rootfs).length > 0 || survivors('31415').length > 0);
        child.kill(signal);
        await once(child, 'exit');
        await waitUntilGone('31415');
      });
    }
  });
}
