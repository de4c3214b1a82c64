// certs.d: certificates per registry host, as docker and the containers tools keep them (containers-certs.d(5)).
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, errnoOf, printable } from '../errors.ts';
import type { TlsSettings } from '../host/http.ts';
import type { Environment } from '../host/proxy.ts';

export interface CertPlaces {
  readonly home: string;
  readonly etc: string;
  readonly env: Environment;
  /** The only directory that is read, for every host. */
  readonly certDir?: string;
}

/**
 * `*.crt` are authorities, `*.cert` with the `*.key` of the same name is a client certificate. All directories count.
 * @param host `name:port`, or the name alone for the default port
 * @throws BuildError `usage` when a certificate lacks its key, `network` when a file cannot be read
 */
export function readCerts(host: string, { home, etc, env, certDir }: CertPlaces): TlsSettings {
  if (certDir !== undefined) return readDirectory(certDir);
  if (!/^[A-Za-z0-9._:[\]-]+$/.test(host) || host.startsWith('.')) return {};
  const config = env.XDG_CONFIG_HOME || join(home, '.config');
  const roots = [
    join(config, 'containers'),
    join(config, 'docker'),
    join(etc, 'containers'),
    join(etc, 'docker'),
  ];
  const found = roots.map(root => readDirectory(join(root, 'certs.d', host)));
  return { ca: found.flatMap(dir => dir.ca), clientCerts: found.flatMap(dir => dir.clientCerts) };
}

interface Found {
  readonly ca: readonly string[];
  readonly clientCerts: readonly { readonly cert: string; readonly key: string }[];
}

function readDirectory(dir: string): Found {
  let names: string[];
  try {
    names = readdirSync(dir).sort();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EACCES') return { ca: [], clientCerts: [] };
    throw unreadable(dir, error);
  }
  const read = (name: string) => {
    try {
      return readFileSync(join(dir, name), 'utf8');
    } catch (error) {
      throw unreadable(join(dir, name), error);
    }
  };
  const clientCerts = names
    .filter(name => name.endsWith('.cert'))
    .map(name => {
      const key = name.replace(/\.cert$/, '.key');
      if (names.includes(key)) return { cert: read(name), key: read(key) };
      throw new BuildError('usage', `${printable(join(dir, name))} has no key beside it`, {
        hint: `put the key into ${printable(key)}; authorities end in .crt`,
      });
    });
  return { ca: names.filter(name => name.endsWith('.crt')).map(read), clientCerts };
}

function unreadable(path: string, cause: unknown): BuildError {
  return new BuildError('network', `the certificates in ${printable(path)} cannot be read`, { cause });
}
