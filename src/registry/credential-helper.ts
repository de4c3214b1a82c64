// Credential helpers (docker-credential-helpers): programs `docker-credential-<name>` that take `get`, `store`,
// `erase` or `list` as argument and speak JSON over stdin and stdout.
import { spawn } from 'node:child_process';
import { BuildError, errnoOf, printable } from '../errors.ts';
import type { Environment } from '../host/proxy.ts';
import type { Credential } from './credential.ts';

export interface HelperLimits {
  /** Longest run in milliseconds; default 30 s. */
  readonly timeoutMs: number;
  /** Longest output in bytes; default 64 KiB. */
  readonly maxBytes: number;
}

export const helperLimits: HelperLimits = { timeoutMs: 30_000, maxBytes: 64 * 1024 };

/** @returns undefined when the helper knows no credentials for `server`. @throws BuildError `auth` */
export async function helperGet(
  helper: string,
  server: string,
  env: Environment,
  signal: AbortSignal,
  limits: HelperLimits = helperLimits,
): Promise<Credential | undefined> {
  const result = await run(helper, 'get', server, env, signal, limits);
  if (result.status !== 0) {
    if (/credentials not found in native keychain/i.test(result.stdout + result.stderr)) return undefined;
    throw failed(helper, `it ended with status ${result.status} when asked for ${printable(server)}`);
  }
  const { Username: username, Secret: secret } = parseObject(helper, result.stdout);
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw failed(helper, 'it gave no Username and Secret');
  if (secret === '') return undefined;
  if (username === '<token>') return { kind: 'identity', token: secret };
  if (/[\r\n\0]/.test(username)) throw failed(helper, 'it gave a user name with control characters');
  return username === '' ? undefined : { kind: 'password', username, password: secret };
}

/** @throws BuildError `auth` */
export async function helperStore(
  helper: string,
  server: string,
  username: string,
  secret: string,
  env: Environment,
  signal: AbortSignal,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: secret });
  const result = await run(helper, 'store', input, env, signal, helperLimits);
  if (result.status !== 0) throw failed(helper, `it ended with status ${result.status} when asked to store`);
}

/** Erasing what is not there is no error. @throws BuildError `auth` */
export async function helperErase(
  helper: string,
  server: string,
  env: Environment,
  signal: AbortSignal,
): Promise<void> {
  const result = await run(helper, 'erase', server, env, signal, helperLimits);
  if (result.status === 0 || /not found/i.test(result.stdout + result.stderr)) return;
  throw failed(helper, `it ended with status ${result.status} when asked to erase`);
}

/** Server to user name. @throws BuildError `auth` */
export async function helperList(
  helper: string,
  env: Environment,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const result = await run(helper, 'list', '', env, signal, helperLimits);
  if (result.status !== 0) throw failed(helper, `it ended with status ${result.status} when asked to list`);
  const entries = Object.entries(parseObject(helper, result.stdout));
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

interface HelperResult {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  helper: string,
  action: string,
  input: string,
  env: Environment,
  signal: AbortSignal,
  limits: HelperLimits,
): Promise<HelperResult> {
  if (!/^[A-Za-z0-9._-]+$/.test(helper) || /^\.+$/.test(helper)) {
    throw new BuildError('auth', `"${printable(helper)}" is not the name of a credential helper`, {
      hint: 'it is what follows docker-credential- in the name of a program',
    });
  }
  const child = spawn(`docker-credential-${helper}`, [action], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(limits.timeoutMs)]),
    killSignal: 'SIGKILL',
  });
  // A helper that does not read its input closes the pipe early; its status tells whether that matters.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const output = { stdout: '', stderr: '' };
  try {
    return await new Promise<HelperResult>((resolve, reject) => {
      child.on('error', error => reject(runError(helper, error, signal, limits)));
      child.on('close', (code, killedBy) => resolve({ status: code ?? killedBy ?? 'unknown', ...output }));
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (text: string) => {
          output[name] += text;
          if (output[name].length > limits.maxBytes) {
            reject(failed(helper, `it wrote more than ${limits.maxBytes} bytes`));
          }
        });
      }
    });
  } finally {
    child.kill('SIGKILL');
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  }
}

function runError(helper: string, error: unknown, signal: AbortSignal, limits: HelperLimits): unknown {
  if (signal.aborted) return signal.reason;
  if (errnoOf(error) === 'ENOENT') {
    return new BuildError('auth', `the credential helper docker-credential-${helper} is not installed`, {
      hint: 'install it, or remove it from credHelpers and credsStore in the configuration',
    });
  }
  if (errnoOf(error) === 'ABORT_ERR')
    return failed(helper, `it did not finish within ${limits.timeoutMs / 1000} s`);
  return new BuildError('auth', `the credential helper docker-credential-${helper} cannot be run`, {
    cause: error,
  });
}

function parseObject(helper: string, text: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The text may hold the secret: it is not quoted.
    throw failed(helper, 'it did not answer in JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw failed(helper, 'it did not answer with an object');
  return json as Record<string, unknown>;
}

function failed(helper: string, why: string): BuildError {
  return new BuildError('auth', `the credential helper docker-credential-${helper} failed: ${why}`, {
    facts: { helper },
  });
}
