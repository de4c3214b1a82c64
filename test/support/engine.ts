// A real Docker engine with storage of its own, for `docker load` and `docker run`. Needs root and Debian's docker.io.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { must, type RunOptions, run } from './program.ts';

export interface Engine {
  /** Address for DOCKER_HOST and `docker -H`. */
  readonly host: string;
  /** `docker ...`; stdout. @throws Error with the output when it fails */
  docker(args: readonly string[], options?: RunOptions): Promise<string>;
  stop(): Promise<void>;
}

/** @throws Error when dockerd does not come up; its log is in the message */
export async function startEngine(): Promise<Engine> {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-engine-'));
  const host = `unix://${join(dir, 'docker.sock')}`;
  const log = join(dir, 'log');
  const where = [
    '--data-root',
    join(dir, 'data'),
    '--exec-root',
    join(dir, 'exec'),
    '--pidfile',
    join(dir, 'pid'),
  ];
  const quiet = ['--bridge=none', '--iptables=false', '--ip6tables=false'];
  const daemon = spawn('dockerd', ['-H', host, ...where, ...quiet], {
    stdio: ['ignore', openSync(log, 'w'), openSync(log, 'a')],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  const gone = new Promise<void>(resolve => daemon.once('close', () => resolve()));
  let failed: Error | undefined;
  daemon.once('error', error => (failed = error));
  for (let i = 0; (await run(['docker', '-H', host, 'version'])).status !== 0; i++) {
    if (i > 300 || failed || daemon.exitCode !== null) {
      throw new Error(`dockerd did not start: ${failed?.message ?? readFileSync(log, 'utf8').slice(-2000)}`);
    }
    await sleep(100);
  }
  return {
    host,
    docker: (args, options) => must(['docker', '-H', host, ...args], options),
    async stop() {
      daemon.kill('SIGTERM');
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
