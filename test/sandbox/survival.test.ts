// Nothing that a step started survives slipway, however slipway ends.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { processesWith, waitUntilGone } from '../support/processes.ts';
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

for (const rung of ['oci', 'namespace']) {
  describe(`a step run by ${rung}`, () => {
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
      test(`ends when slipway ends by ${signal}, with what it started in sessions of its own`, async () => {
        using temp = tempDir();
        const rootfs = join(temp.path, 'rootfs');
        mkdirSync(rootfs);
        makeRootfs(rootfs);
        const child = await startStep(rung, rootfs);
        assert.ok(processesWith(rootfs).length > 0 || processesWith('31415').length > 0);
        child.kill(signal);
        await once(child, 'exit');
        await waitUntilGone('31415');
      });
    }
  });
}
