// A git server on the loopback interface, for one directory of repositories, and a way to make repositories.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const environment = {
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
  GIT_AUTHOR_DATE: '1600000000 +0000',
  GIT_COMMITTER_DATE: '1600000000 +0000',
};

/** Runs git in a directory. @returns what it wrote, trimmed */
export function git(directory: string, ...args: string[]): string {
  const options = {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe')[],
  };
  return execFileSync('git', ['-c', 'protocol.file.allow=always', ...args], options)
    .toString()
    .trim();
}

/** A new repository with a branch `main`. */
export function newRepository(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  git(path, 'init', '-q', '-b', 'main');
  git(path, 'config', 'uploadpack.allowAnySHA1InWant', 'true');
  return path;
}

export function commitAll(repository: string, message: string): string {
  git(repository, 'add', '-A', '-f');
  git(repository, 'commit', '-q', '-m', message, '--allow-empty');
  return git(repository, 'rev-parse', 'HEAD');
}

export interface GitServer {
  /** `git://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startGitServer(repositories: string): Promise<GitServer> {
  const port = await freePort();
  const args = ['daemon', '--reuseaddr', '--export-all', '--listen=127.0.0.1', `--port=${port}`];
  const server = spawn('git', [...args, `--base-path=${repositories}`, repositories], {
    env: environment,
    stdio: 'ignore',
    detached: true,
  });
  await untilAnswering(port, server);
  const closed = new Promise<void>(resolve => server.once('exit', () => resolve()));
  return {
    url: `git://127.0.0.1:${port}`,
    close: async () => {
      if (server.pid !== undefined) process.kill(-server.pid, 'SIGKILL');
      await closed;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function untilAnswering(port: number, server: ChildProcess): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new Error('git daemon ended; is git installed?');
    const answers = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.unref();
      socket.once('connect', () => socket.destroy());
    });
    if (answers) return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
