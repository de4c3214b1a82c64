// --ssh: an agent by its socket, or private keys by their files.
import { readFileSync, type Stats, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { BuildError, printable } from '../../errors.ts';
import type { SshSource } from '../../host/ssh-agent.ts';
import { parseSshKey, type SshKey, SshKeyError } from '../../host/ssh-keys.ts';

const maxKeyBytes = 100 * 1024;

/** `default`, `id`, `id=socket`, `id=key,key`. @throws BuildError `usage` */
export function parseSsh(
  specs: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): ReadonlyMap<string, SshSource> {
  const sources = new Map<string, SshSource>();
  for (const spec of specs) {
    const at = spec.indexOf('=');
    const id = at < 0 ? spec : spec.slice(0, at);
    const from = at < 0 ? env.SSH_AUTH_SOCK : spec.slice(at + 1);
    if (id === '') throw refuse(spec, 'it has no id', 'write --ssh id=SOCKET');
    if (sources.has(id)) throw refuse(spec, 'the id is there already', 'give each its own id');
    if (!from) throw refuse(spec, 'no agent is running', 'start ssh-agent, or write --ssh id=SOCKET');
    const paths = at < 0 ? [from] : from.split(',');
    sources.set(
      id,
      sourceOf(
        spec,
        paths.map(path => resolve(cwd, path)),
      ),
    );
  }
  return sources;
}

function sourceOf(spec: string, paths: readonly string[]): SshSource {
  const keys: SshKey[] = [];
  for (const path of paths) {
    const stat = look(spec, path);
    if (stat.isSocket()) {
      if (paths.length === 1) return { socket: path };
      throw refuse(spec, 'an agent stands alone', 'give keys or one socket');
    }
    if (!stat.isFile() || stat.size > maxKeyBytes)
      throw refuse(spec, `${printable(path)} is neither a socket nor a private key`);
    keys.push(readKey(spec, path));
  }
  return { keys };
}

function look(spec: string, path: string): Stats {
  try {
    return statSync(path);
  } catch {
    throw refuse(spec, `${printable(path)} is not there`, 'start ssh-agent, or name another socket or key');
  }
}

function readKey(spec: string, path: string): SshKey {
  try {
    return parseSshKey(readFileSync(path, 'utf8'), basename(path));
  } catch (error) {
    if (!(error instanceof SshKeyError)) throw refuse(spec, `${printable(path)} cannot be read`);
    const hint = 'add the key to an agent (ssh-add), and pass that with --ssh default';
    throw refuse(spec, `${printable(path)} cannot be used: ${error.message}`, hint);
  }
}

function refuse(spec: string, why: string, hint?: string): BuildError {
  return new BuildError('usage', `--ssh ${printable(spec)}: ${why}`, hint === undefined ? {} : { hint });
}
