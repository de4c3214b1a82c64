// Starts Debian's docker-registry for a test: plain or with TLS, open, with htpasswd, or with tokens. It listens on a
// free port of 127.0.0.1 and keeps its data in a directory of its own, which goes away with it.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Issued } from './tls.ts';

export interface RegistrySetup {
  readonly tls?: Issued;
  readonly htpasswd?: { readonly username: string; readonly password: string };
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    /** PEM of the certificates that tokens may be signed with. */
    readonly rootCertFile: string;
  };
}

export interface RunningRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startDockerRegistry(setup: RegistrySetup = {}): Promise<RunningRegistry> {
  const program = ['/usr/bin/docker-registry', '/usr/local/bin/docker-registry'].find(existsSync);
  if (!program) throw new Error('docker-registry is not installed: apt-get install docker-registry');
  const dir = mkdtempSync(join(tmpdir(), 'slipway-registry-'));
  const config = join(dir, 'config.json');
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(configuration(dir, setup)));
  const child = spawn(program, ['serve', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: 'none' },
  });
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const port = await listening(child.stderr);
    return { host: `127.0.0.1:${port}`, port, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function configuration(dir: string, { tls, htpasswd, token }: RegistrySetup): unknown {
  return {
    version: 0.1,
    log: { level: 'info', formatter: 'json' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
    http: {
      addr: '127.0.0.1:0',
      ...(tls ? { tls: { certificate: tls.certFile, key: tls.keyFile } } : {}),
    },
    ...(htpasswd ? { auth: { htpasswd: { realm: 'test', path: htpasswdFile(dir, htpasswd) } } } : {}),
    ...(token
      ? {
          auth: {
            token: {
              realm: token.realm,
              service: token.service,
              issuer: token.issuer,
              rootcertbundle: token.rootCertFile,
            },
          },
        }
      : {}),
  };
}

function htpasswdFile(dir: string, { username, password }: { username: string; password: string }): string {
  const file = join(dir, 'htpasswd');
  try {
    writeFileSync(file, execFileSync('htpasswd', ['-Bbn', username, password]));
  } catch (cause) {
    throw new Error('htpasswd is not installed: apt-get install apache2-utils', { cause });
  }
  return file;
}

/** The port out of the registry's log, which it also must not block on. */
function listening(log: NodeJS.ReadableStream): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = '';
    log.setEncoding('utf8');
    log.on('data', (part: string) => {
      text = (text + part).slice(-16_384);
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (port) resolve(Number(port));
    });
    log.on('end', () => reject(new Error(`docker-registry did not start: ${text}`)));
  });
}
