// Credentials that users already have: docker's config.json and the containers auth.json, with their helpers
// (docker/cli `config.json`, containers-auth.json(5)). Read when first needed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, errnoOf, printable } from '../errors.ts';
import type { Environment } from '../host/proxy.ts';
import type { Credential } from './credential.ts';
import { helperGet } from './credential-helper.ts';

export interface Credentials {
  /**
   * @param host as the user names the registry: `docker.io`, `reg.example:5000`; compared exactly
   * @param repository path below the host; the most specific key wins
   * @throws BuildError `auth` when a configured helper fails; other hosts' credentials are never tried
   */
  find(host: string, repository: string, signal: AbortSignal): Promise<Credential | undefined>;
}

export interface CredentialOptions {
  readonly env: Environment;
  readonly home: string;
  /** `--authfile`: the only file that is read. */
  readonly authFile?: string;
}

/** The key under which docker stores Docker Hub. */
export const hubKey = 'https://index.docker.io/v1/';
const hubHosts = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
export const maxConfigBytes = 4 * 1024 * 1024;

/** The parts of docker's config.json and of auth.json that are used here. */
export interface AuthConfig {
  readonly path: string;
  readonly auths: Readonly<Record<string, AuthEntry>>;
  readonly credHelpers: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export function openCredentials(options: CredentialOptions): Credentials {
  let configs: readonly AuthConfig[] | undefined;
  const found = new Map<string, Promise<Credential | undefined>>();
  return {
    find(host, repository, signal) {
      const id = `${host}/${repository}`;
      let answer = found.get(id);
      if (!answer) {
        configs ??= readConfigs(options);
        answer = search(configs, host, repository, options.env, signal);
        answer.catch(() => found.delete(id));
        found.set(id, answer);
      }
      return answer;
    },
  };
}

/** `--creds user:password`. @param host the only one they are for, as users write it; default every registry that is asked, mirrors included */
export function fixedCredentials(username: string, password: string, host?: string): Credentials {
  return {
    find: async asked =>
      host === undefined || asked === host ? { kind: 'password', username, password } : undefined,
  };
}

/** Files in the order in which they are asked. */
export function configFiles({ env, home, authFile }: CredentialOptions): readonly string[] {
  if (authFile) return [authFile];
  const docker = join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json');
  if (env.REGISTRY_AUTH_FILE) return [env.REGISTRY_AUTH_FILE, docker];
  const runtime = env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'containers', 'auth.json')] : [];
  const config = join(env.XDG_CONFIG_HOME || join(home, '.config'), 'containers', 'auth.json');
  return [...runtime, config, docker];
}

function readConfigs(options: CredentialOptions): readonly AuthConfig[] {
  const inline = options.env.DOCKER_AUTH_CONFIG;
  const first = inline && !options.authFile ? [parseAuthConfig(inline, 'DOCKER_AUTH_CONFIG')] : [];
  const rest = configFiles(options).flatMap(path => {
    const config = readAuthConfig(path);
    return config ? [config] : [];
  });
  return [...first, ...rest];
}

/** @returns undefined when there is no such file. @throws BuildError `auth` when it cannot be read or understood */
export function readAuthConfig(path: string): AuthConfig | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR') return undefined;
    throw new BuildError('auth', `the credentials in ${printable(path)} cannot be read`, { cause });
  }
  if (text.length > maxConfigBytes) throw unusable(path, 'it is too large');
  return parseAuthConfig(text, path);
}

export function parseAuthConfig(text: string, path: string): AuthConfig {
  if (text.trim() === '') return { path, auths: {}, credHelpers: {} };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds secrets.
    throw unusable(path, 'it is not valid JSON');
  }
  const root = objectOr(json, () => unusable(path, 'it is not a JSON object'));
  const part = (name: string) =>
    objectOr(root[name] ?? {}, () => unusable(path, `"${name}" is not an object`));
  const auths = Object.fromEntries(
    Object.entries(part('auths')).map(([key, value]) => [key, authEntry(value)] as const),
  );
  const helpers = Object.entries(part('credHelpers')).filter(([, helper]) => typeof helper === 'string');
  const store = root.credsStore;
  return {
    path,
    auths,
    credHelpers: Object.fromEntries(helpers) as Record<string, string>,
    ...(typeof store === 'string' ? { credsStore: store } : {}),
  };
}

function authEntry(value: unknown): AuthEntry {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, text]) => typeof text === 'string'));
}

function objectOr(value: unknown, failure: () => BuildError): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw failure();
  return value as Record<string, unknown>;
}

function unusable(path: string, why: string): BuildError {
  return new BuildError('auth', `the credentials in ${printable(path)} cannot be used: ${why}`);
}

async function search(
  configs: readonly AuthConfig[],
  host: string,
  repository: string,
  env: Environment,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  for (const key of searchKeys(host, repository)) {
    for (const config of configs) {
      const found = await lookUp(config, key, env, signal);
      if (found) return found;
    }
  }
  return undefined;
}

/** `host/a/b`, `host/a`, `host`: the most specific first. */
export function searchKeys(host: string, repository: string): readonly string[] {
  const name = host.toLowerCase();
  const parts = repository.split('/').filter(Boolean);
  return Array.from({ length: parts.length + 1 }, (_, i) =>
    [name, ...parts.slice(0, parts.length - i)].join('/'),
  );
}

async function lookUp(
  config: AuthConfig,
  key: string,
  env: Environment,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const isHost = !key.includes('/');
  const same = (written: string) => normalKey(written) === normalKey(key);
  const helper = Object.entries(config.credHelpers).find(([written]) => same(written))?.[1];
  if (helper !== undefined) return helperGet(helper, serverName(key), env, signal);
  if (isHost && config.credsStore) {
    const stored = await helperGet(config.credsStore, serverName(key), env, signal);
    if (stored) return stored;
  }
  const entry = Object.entries(config.auths).find(([written]) => same(written));
  return entry && credentialOf(entry[1], config.path, entry[0]);
}

/** What a helper is asked for. */
export function serverName(host: string): string {
  return hubHosts.includes(host) ? hubKey : host;
}

/** `https://Host/v1/` and `host` are the same key; a path that names repositories stays. */
export function normalKey(written: string): string {
  const bare = written
    .replace(/^https?:\/\//i, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase();
  return (hubHosts.includes(host) ? 'docker.io' : host) + (slash < 0 ? '' : bare.slice(slash));
}

function credentialOf(entry: AuthEntry, path: string, key: string): Credential | undefined {
  if (entry.identitytoken) return { kind: 'identity', token: entry.identitytoken };
  if (entry.registrytoken) return { kind: 'bearer', token: entry.registrytoken };
  if (entry.auth) return decodeAuth(entry.auth, path, key);
  if (entry.username === undefined || entry.password === undefined) return undefined;
  return { kind: 'password', username: entry.username, password: entry.password };
}

/** `auth` is base64 of `user:password`. */
function decodeAuth(auth: string, path: string, key: string): Credential {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  if (colon < 1 || /[\r\n\0]/.test(text)) {
    throw unusable(path, `the entry for ${printable(key)} is not base64 of user:password`);
  }
  return { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) };
}
