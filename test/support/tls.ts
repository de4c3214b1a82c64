// A private certificate authority made with openssl, for registries and proxies that speak TLS in tests.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Authority {
  /** Path of the authority's own certificate (PEM). */
  readonly certFile: string;
  readonly keyFile: string;
  readonly pem: string;
  /**
   * A certificate for names and addresses (`DNS:localhost`, `IP:127.0.0.1`).
   * @param period `expired`: it ended in 2001
   */
  issue(name: string, subjects: readonly string[], period?: 'valid' | 'expired'): Issued;
}

export interface Issued {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

const database = `
[ca]
default_ca = it
[it]
database = DIR/index.txt
serial = DIR/serial
new_certs_dir = DIR
certificate = DIR/ca.crt
private_key = DIR/ca.key
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
`;

/** @param dir an existing, empty directory; everything is kept there */
export function makeAuthority(dir: string): Authority {
  mkdirSync(dir, { recursive: true });
  const file = (name: string) => join(dir, name);
  writeFileSync(file('ca.cnf'), database.replaceAll('DIR', dir));
  writeFileSync(file('index.txt'), '');
  writeFileSync(file('serial'), '01\n');
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=Test Authority'],
    ...['-addext', 'basicConstraints=critical,CA:TRUE'],
    ...['-keyout', file('ca.key'), '-out', file('ca.crt')],
  );
  return {
    certFile: file('ca.crt'),
    keyFile: file('ca.key'),
    pem: readFileSync(file('ca.crt'), 'utf8'),
    issue(name, subjects, period = 'valid') {
      const [certFile, keyFile] = [file(`${name}.crt`), file(`${name}.key`)];
      openssl(
        ...['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-keyout', keyFile],
        ...['-addext', `subjectAltName=${subjects.join(',')}`, '-out', file(`${name}.csr`)],
      );
      const dates =
        period === 'expired'
          ? ['-startdate', '20000101000000Z', '-enddate', '20010101000000Z']
          : ['-days', '30'];
      openssl(
        'ca',
        '-batch',
        '-notext',
        '-config',
        file('ca.cnf'),
        ...dates,
        '-in',
        file(`${name}.csr`),
        '-out',
        certFile,
      );
      return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    },
  };
}

function openssl(...args: readonly string[]): void {
  try {
    execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') {
      throw new Error('openssl is not installed: apt-get install openssl', { cause: error });
    }
    throw error;
  }
}
