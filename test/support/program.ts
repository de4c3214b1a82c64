// Runs the program as a user does, with a store of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repoRoot } from './repo.ts';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string | Uint8Array;
  readonly uid?: number;
  readonly gid?: number;
}

/** Any program, its output collected. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    cwd: options.cwd ?? repoRoot,
    env: { ...process.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid ?? options.uid }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', chunk => out.push(chunk));
  child.stderr.on('data', chunk => err.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', status =>
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}

/** @throws Error with the output when it fails */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const ended = await run(argv, options);
  if (ended.status !== 0)
    throw new Error(`${argv.join(' ')} ended with ${ended.status}:\n${ended.stdout}${ended.stderr}`);
  return ended.stdout;
}

export interface Program {
  readonly store: string;
  /** A directory for the test's files. */
  readonly dir: string;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** @throws Error with the output unless the status is 0 */
  must(args: readonly string[], options?: RunOptions): Promise<Ended>;
  [Symbol.dispose](): void;
}

/** slipway with an empty store. @param env for every run, such as CONTAINERS_REGISTRIES_CONF */
export function program(env: Readonly<Record<string, string | undefined>> = {}): Program {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-e2e-'));
  const store = join(dir, 'store');
  const bin = join(repoRoot, 'bin/slipway.js');
  const start = (args: readonly string[], options: RunOptions = {}) =>
    run([process.execPath, bin, ...args], {
      ...options,
      env: { SLIPWAY_ROOT: store, DOCKER_CONFIG: join(dir, 'docker-config'), ...env, ...options.env },
    });
  return {
    store,
    dir,
    run: start,
    async must(args, options) {
      const ended = await start(args, options);
      if (ended.status !== 0)
        throw new Error(`slipway ${args.join(' ')} ended with ${ended.status}:\n${ended.stderr}`);
      return ended;
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
