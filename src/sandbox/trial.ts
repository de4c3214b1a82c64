// A sandbox is believed to work when it has really run a program: a static executable of our own that writes three bytes
// and ends with a status nobody gets by accident, in a root file system that holds nothing else.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { defaultHostname } from './defaults.ts';
import { call, makeLauncher } from './launcher/launcher.ts';
import type { Sandbox } from './sandbox.ts';

const STATUS = 42;
const OUTPUT = 'ok\n';

/** Runs the trial. @throws BuildError what the sandbox says, or `sandbox` when the answer is not the one expected */
export async function tryOut(sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const rootfs = mkdtempSync(join(tmpdir(), 'slipway-trial-'));
  try {
    chmodSync(rootfs, 0o755);
    for (const dir of ['proc', 'sys', 'dev', 'etc']) mkdirSync(join(rootfs, dir));
    const { file } = makeLauncher([call('write', 1, OUTPUT, OUTPUT.length), call('exit_group', STATUS)], 2);
    writeFileSync(join(rootfs, 'trial'), file, { mode: 0o755 });
    const chunks: Buffer[] = [];
    const end = await sandbox.run({
      rootfs,
      argv: ['/trial'],
      env: [],
      cwd: '/',
      uid: 0,
      gid: 0,
      groups: [],
      hostname: defaultHostname,
      // The lower rungs cannot take it away.
      network: ['chroot', 'proot'].includes(sandbox.name) ? 'host' : 'none',
      security: 'sandbox',
      mounts: [],
      extraHosts: [],
      signal,
      onOutput: (_stream, chunk) => chunks.push(chunk),
    });
    const output = Buffer.concat(chunks).toString('latin1');
    if (end.kind === 'exited' && end.status === STATUS && output === OUTPUT) return;
    throw new BuildError('sandbox', `the trial run ended unexpectedly: ${describe(end, output)}`);
  } finally {
    rmSync(rootfs, { recursive: true, force: true });
  }
}

function describe(end: Awaited<ReturnType<Sandbox['run']>>, output: string): string {
  const how = end.kind === 'exited' ? `status ${end.status}` : end.signal;
  const first = output.split('\n').find(line => line.trim() !== '');
  return first === undefined ? how : `${how}, ${first.slice(0, 200)}`;
}
