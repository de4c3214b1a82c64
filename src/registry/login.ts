// Keeping credentials where docker and the containers tools look for them: in a helper when one is configured, else
// in the file, which is replaced in one step and readable by its owner only.
import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError, errnoOf, printable } from '../errors.ts';
import { helperErase, helperStore } from './credential-helper.ts';
import {
  type AuthConfig,
  type CredentialOptions,
  normalKey,
  parseAuthConfig,
  serverName,
} from './credentials.ts';

/** Where something was kept or removed, for people: a path, or `docker-credential-...`. */
export type Place = string;

/** The file that login and logout change: `--authfile`, REGISTRY_AUTH_FILE, else docker's config.json. */
export function loginFile({ env, home, authFile }: CredentialOptions): string {
  return (
    authFile ?? (env.REGISTRY_AUTH_FILE || join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json'))
  );
}

/**
 * Keeps a user name and password for a registry, without asking it.
 * @param domain host as users write it, or `host/path` for a part of it
 * @throws BuildError `auth` when the file or helper refuses, `usage` for a user name that cannot be kept
 */
export async function storeLogin(
  options: CredentialOptions,
  domain: string,
  username: string,
  password: string,
  signal: AbortSignal,
): Promise<Place> {
  if (username === '' || /[:\r\n\0]/.test(username)) {
    throw new BuildError('usage', 'a user name must not be empty or contain a colon or line break');
  }
  const path = loginFile(options);
  const { json, config } = readForChange(path);
  const helper = helperFor(config, domain);
  if (helper) {
    await helperStore(helper, serverName(domain), username, password, options.env, signal);
    return `docker-credential-${helper}`;
  }
  const kept = Object.entries(asObject(json.auths)).filter(([key]) => normalKey(key) !== normalKey(domain));
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  replace(path, { ...json, auths: { ...Object.fromEntries(kept), [serverName(domain)]: { auth } } });
  return path;
}

/** @returns where something was removed; empty when nobody was logged in. @throws BuildError `auth` */
export async function removeLogin(
  options: CredentialOptions,
  domain: string,
  signal: AbortSignal,
): Promise<readonly Place[]> {
  const path = loginFile(options);
  const { json, config } = readForChange(path);
  const removed: Place[] = [];
  const helper = helperFor(config, domain);
  if (helper) {
    await helperErase(helper, serverName(domain), options.env, signal);
    removed.push(`docker-credential-${helper}`);
  }
  const entries = Object.entries(asObject(json.auths));
  const kept = entries.filter(([key]) => normalKey(key) !== normalKey(domain));
  if (kept.length < entries.length) {
    replace(path, { ...json, auths: Object.fromEntries(kept) });
    removed.push(path);
  }
  return removed;
}

function helperFor(config: AuthConfig, domain: string): string | undefined {
  const own = Object.entries(config.credHelpers).find(([key]) => normalKey(key) === normalKey(domain))?.[1];
  return own ?? (config.credsStore || undefined);
}

/** The whole document, so that what others keep in it stays. */
function readForChange(path: string): { json: Record<string, unknown>; config: AuthConfig } {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') {
      throw new BuildError('auth', `the credentials in ${printable(path)} cannot be read`, { cause });
    }
  }
  const config = parseAuthConfig(text, path);
  return { json: text.trim() === '' ? {} : (JSON.parse(text) as Record<string, unknown>), config };
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** A link to the file stays a link. */
function replace(path: string, json: unknown): void {
  let target = path;
  try {
    target = realpathSync(path);
  } catch {
    // It is not there yet.
  }
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, `${JSON.stringify(json, null, '\t')}\n`, {
      mode: 0o600,
      flag: 'wx',
      flush: true,
    });
    renameSync(temporary, target);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new BuildError('auth', `the credentials cannot be kept in ${printable(path)}`, { cause });
  }
}
