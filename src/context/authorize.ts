// Credentials for downloads and git repositories, out of the secrets of a build, under the names that BuildKit gives
// them: https://docs.docker.com/build/building/secrets/#git-authentication-for-remote-contexts. A secret belongs to one
// host (or, for git, to all of them when its name has none) and leaves this machine encrypted only.
import { BuildError, printable } from '../errors.ts';
import { isLoopbackHost } from '../host/address.ts';

/** Values of `--secret` by id. */
export type Secrets = ReadonlyMap<string, Uint8Array>;

/** @returns the Authorization header for a URL, undefined where there is no credential for it */
export type Authorize = (url: URL) => string | undefined;

/**
 * `HTTP_AUTH_HEADER_<host>` is the whole header, `HTTP_AUTH_TOKEN_<host>` a bearer token; the host has its port where it
 * is not the usual one.
 * @throws BuildError `usage` for a secret that no header can hold
 */
export function authorizeHttp(secrets: Secrets): Authorize {
  return url => {
    if (!isConfidential(url)) return undefined;
    const header = textOf(secrets, `HTTP_AUTH_HEADER_${url.host}`);
    if (header !== undefined) return header;
    const token = textOf(secrets, `HTTP_AUTH_TOKEN_${url.host}`);
    return token === undefined ? undefined : `Bearer ${token}`;
  };
}

/**
 * `GIT_AUTH_HEADER.<host>` or `GIT_AUTH_HEADER` is the whole header, `GIT_AUTH_TOKEN.<host>` or `GIT_AUTH_TOKEN` a token,
 * sent as the password that GitHub, GitLab and their like expect.
 * @throws BuildError `usage` for a secret that no header can hold
 */
export function authorizeGit(secrets: Secrets): Authorize {
  return url => {
    if (!isConfidential(url)) return undefined;
    for (const suffix of [`.${url.host}`, '']) {
      const header = textOf(secrets, `GIT_AUTH_HEADER${suffix}`);
      if (header !== undefined) return header;
      const token = textOf(secrets, `GIT_AUTH_TOKEN${suffix}`);
      if (token !== undefined) return `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
    }
    return undefined;
  };
}

function isConfidential(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.host));
}

/** Without the line end that a file has. */
function textOf(secrets: Secrets, id: string): string | undefined {
  const bytes = secrets.get(id);
  if (bytes === undefined) return undefined;
  const text = Buffer.from(bytes)
    .toString('latin1')
    .replace(/\r?\n$/, '');
  if (/^[\x20-\x7e\x80-\xff]+$/.test(text)) return text;
  throw new BuildError('usage', `the secret ${printable(id)} cannot be sent as a header`, {
    hint: 'it is one line of text',
  });
}
