// registries.conf, version 2 (containers-registries.conf(5)): which places a name stands for, what is blocked, what
// may be insecure, what short names mean. Read when first needed.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import type { Environment } from '../host/proxy.ts';
import { parseReference, type Reference } from '../image/reference.ts';
import type { Location, Repository } from './endpoints.ts';
import type { Access } from './scope.ts';

export interface RegistriesConf {
  /**
   * Mirrors in order, then the registry itself; for a push the registry itself alone.
   * @throws BuildError `auth` when it is blocked, `usage` when a file is malformed
   */
  locate(repository: Repository, access: Access, reference: 'tag' | 'digest'): readonly Location[];
  isInsecure(host: string): boolean;
  /**
   * What a short name may stand for: its alias, else one name per search registry, else Docker Hub.
   * @throws BuildError `usage` when `name` is no reference
   */
  candidates(name: string): readonly Reference[];
}

export interface ConfPlaces {
  readonly env: Environment;
  readonly home: string;
  readonly etc: string;
}

interface Mirror {
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFrom: 'all' | 'digest-only' | 'tag-only';
}

interface Registry {
  /** `host`, `host/path`, `host:port/path` or `*.domain`. */
  readonly prefix: string;
  /** What the prefix is replaced with; the prefix itself when nothing is. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrorByDigestOnly: boolean;
  readonly mirrors: readonly Mirror[];
}

interface Settings {
  readonly registries: ReadonlyMap<string, Registry>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly search: readonly string[];
}

export function openRegistriesConf(places: ConfPlaces): RegistriesConf {
  let read: Settings | undefined;
  const settings = () => {
    read ??= confFiles(places)
      .map(readConf)
      .reduce(merge, { registries: new Map(), aliases: new Map(), search: [] });
    return read;
  };
  return {
    locate: (repository, access, reference) => locate(settings(), repository, access, reference),
    isInsecure: host =>
      [...settings().registries.values()].some(r => r.insecure && hostOf(r.location) === host),
    candidates: name => candidates(settings(), name),
  };
}

/** Later files win, registry by registry. */
function confFiles({ env, home, etc }: ConfPlaces): readonly string[] {
  const given = env.CONTAINERS_REGISTRIES_CONF || env.REGISTRIES_CONFIG_PATH;
  const dropIns = env.CONTAINERS_REGISTRIES_CONF_DIR
    ? dropInsOf(env.CONTAINERS_REGISTRIES_CONF_DIR)
    : undefined;
  if (given) {
    if (readIfThere(given) === undefined) {
      throw new BuildError(
        'usage',
        `CONTAINERS_REGISTRIES_CONF names a file that is not there: ${printable(given)}`,
      );
    }
    return [given, ...(dropIns ?? [])];
  }
  const user = join(env.XDG_CONFIG_HOME || join(home, '.config'), 'containers');
  const system = join(etc, 'containers');
  const userFile = join(user, 'registries.conf');
  const main = readIfThere(userFile) === undefined ? join(system, 'registries.conf') : userFile;
  return [
    main,
    ...(dropIns ?? [
      ...dropInsOf(join(system, 'registries.conf.d')),
      ...dropInsOf(join(user, 'registries.conf.d')),
    ]),
  ];
}

function dropInsOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
      .filter(name => name.endsWith('.conf'))
      .sort()
      .map(name => join(dir, name));
  } catch {
    return [];
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(cause) ?? '')) return undefined;
    throw new BuildError('usage', `${printable(path)} cannot be read`, { cause });
  }
}

function merge(before: Settings, after: Settings): Settings {
  return {
    registries: new Map([...before.registries, ...after.registries]),
    aliases: new Map([...before.aliases, ...after.aliases]),
    search: after.search.length > 0 ? after.search : before.search,
  };
}

function readConf(path: string): Settings {
  const text = readIfThere(path) ?? '';
  let toml: Record<string, unknown>;
  try {
    toml = parse(text);
  } catch (cause) {
    throw malformed(path, messageOf(cause).split('\n')[0] ?? '');
  }
  if (toml.registries !== undefined && !Array.isArray(toml.registries)) {
    throw malformed(path, 'it is of version 1, which is no longer read');
  }
  const tables = tablesOf(toml.registry, path, 'registry').map(table => registryOf(table, path));
  const aliases = Object.entries((toml.aliases ?? {}) as Record<string, unknown>).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '',
  );
  const search = toml['unqualified-search-registries'] ?? [];
  if (!Array.isArray(search) || search.some(host => typeof host !== 'string')) {
    throw malformed(path, 'unqualified-search-registries is not a list of names');
  }
  return { registries: new Map(tables.map(r => [r.prefix, r] as const)), aliases: new Map(aliases), search };
}

function registryOf(table: Record<string, unknown>, path: string): Registry {
  const location = textOf(table.location, path, 'location');
  const prefix = textOf(table.prefix, path, 'prefix') || location;
  if (prefix === '') throw malformed(path, 'a registry has neither prefix nor location');
  if (location === '' && !prefix.startsWith('*.') && table.prefix === undefined) {
    throw malformed(path, `registry ${prefix} has no location`);
  }
  return {
    prefix: trimmed(prefix),
    location: trimmed(location || prefix),
    insecure: flagOf(table.insecure, path, 'insecure'),
    blocked: flagOf(table.blocked, path, 'blocked'),
    mirrorByDigestOnly: flagOf(table['mirror-by-digest-only'], path, 'mirror-by-digest-only'),
    mirrors: tablesOf(table.mirror, path, 'mirror').map(mirror => mirrorOf(mirror, path)),
  };
}

function mirrorOf(table: Record<string, unknown>, path: string): Mirror {
  const location = trimmed(textOf(table.location, path, 'location'));
  if (location === '') throw malformed(path, 'a mirror has no location');
  const pullFrom = textOf(table['pull-from-mirror'], path, 'pull-from-mirror') || 'all';
  if (pullFrom !== 'all' && pullFrom !== 'digest-only' && pullFrom !== 'tag-only') {
    throw malformed(path, `pull-from-mirror is "${pullFrom}", not all, digest-only or tag-only`);
  }
  return { location, insecure: flagOf(table.insecure, path, 'insecure'), pullFrom };
}

function tablesOf(value: unknown, path: string, name: string): readonly Record<string, unknown>[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every(item => typeof item === 'object' && item !== null)) return value;
  throw malformed(path, `[[${name}]] is not a list of tables`);
}

function textOf(value: unknown, path: string, name: string): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  throw malformed(path, `${name} is not a string`);
}

function flagOf(value: unknown, path: string, name: string): boolean {
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  throw malformed(path, `${name} is not true or false`);
}

/** Without scheme and trailing slashes. */
function trimmed(text: string): string {
  return text.replace(/^https?:\/\//, '').replace(/\/+$/, '');
}

function malformed(path: string, why: string): BuildError {
  return new BuildError('usage', `${printable(path)} cannot be used: ${printable(why)}`);
}

function hostOf(location: string): string {
  const slash = location.indexOf('/');
  return slash < 0 ? location : location.slice(0, slash);
}

function locate(
  settings: Settings,
  repository: Repository,
  access: Access,
  reference: 'tag' | 'digest',
): readonly Location[] {
  const name = `${repository.domain}/${repository.path}`;
  const found = longestMatch(settings, name);
  if (!found) return [{ ...repository, insecure: false }];
  const { registry, length } = found;
  if (registry.blocked) {
    throw new BuildError('auth', `${printable(name)} is blocked by registries.conf`, {
      facts: { prefix: registry.prefix },
    });
  }
  const rewrite = (location: string, insecure: boolean) => place(location + name.slice(length), insecure);
  const wildcard = registry.location.startsWith('*.');
  const own = wildcard
    ? { ...repository, insecure: registry.insecure }
    : rewrite(registry.location, registry.insecure);
  if (access === 'push') return [own];
  const mirrors = registry.mirrors
    .filter(mirror => serves(mirror, registry, reference))
    .map(mirror => rewrite(mirror.location, mirror.insecure));
  return [...mirrors, own];
}

function serves(mirror: Mirror, registry: Registry, reference: 'tag' | 'digest'): boolean {
  if (registry.mirrorByDigestOnly || mirror.pullFrom === 'digest-only') return reference === 'digest';
  return mirror.pullFrom === 'all' || reference === 'tag';
}

/** @returns the registry with the longest prefix, and how many characters of the name it stands for */
function longestMatch(settings: Settings, name: string): { registry: Registry; length: number } | undefined {
  let best: { registry: Registry; length: number } | undefined;
  let bestPrefix = 0;
  for (const registry of settings.registries.values()) {
    const length = matchLength(registry.prefix, name);
    if (length > 0 && registry.prefix.length > bestPrefix) {
      best = { registry, length };
      bestPrefix = registry.prefix.length;
    }
  }
  return best;
}

function matchLength(prefix: string, name: string): number {
  if (prefix.startsWith('*.')) {
    const host = hostOf(name);
    return host.replace(/:\d+$/, '').endsWith(prefix.slice(1)) || host.endsWith(prefix.slice(1))
      ? host.length
      : 0;
  }
  return name === prefix || name.startsWith(`${prefix}/`) ? prefix.length : 0;
}

function place(text: string, insecure: boolean): Location {
  const slash = text.indexOf('/');
  return { domain: text.slice(0, slash), path: text.slice(slash + 1), insecure };
}

function candidates(settings: Settings, name: string): readonly Reference[] {
  const reference = parseReference(name);
  const suffix = `${reference.tag ? `:${reference.tag}` : ''}${reference.digest ? `@${reference.digest}` : ''}`;
  const bare = name.slice(0, name.length - suffix.length);
  if (isQualified(bare)) return [reference];
  const alias = settings.aliases.get(bare);
  if (alias !== undefined) return [parseReference(`${alias}${suffix}`)];
  if (settings.search.length === 0) return [reference];
  return settings.search.map(host =>
    parseReference(`${host}/${host === 'docker.io' ? reference.path : bare}${suffix}`),
  );
}

/** It names its host. */
function isQualified(name: string): boolean {
  const slash = name.indexOf('/');
  const head = slash < 0 ? '' : name.slice(0, slash);
  return /[.:]/.test(head) || head === 'localhost';
}
