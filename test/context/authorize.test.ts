// Credentials that a build lends to ADD and to remote contexts.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { authorizeGit, authorizeHttp } from '../../src/context/authorize.ts';
import { makeDownload } from '../../src/context/download.ts';
import { fetchGit } from '../../src/context/git.ts';
import { parseGitUrl } from '../../src/context/git-url.ts';
import { openHttp } from '../../src/host/http.ts';

const secrets = (values: Record<string, string>) =>
  new Map(Object.entries(values).map(([id, value]) => [id, Buffer.from(value)]));

/** A server that answers with what `answer` says and keeps the Authorization headers it got. */
async function withServer(
  answer: (path: string) => { status: number; location?: string },
  work: (origin: string, seen: (string | undefined)[]) => Promise<void>,
): Promise<void> {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    const { status, location } = answer(request.url ?? '');
    response.writeHead(status, location === undefined ? {} : { location }).end('body');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen);
  } finally {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }
}

describe('a credential for a download', () => {
  const of = (url: string, values: Record<string, string>) => authorizeHttp(secrets(values))(new URL(url));

  it('is a header or a bearer token of its host and port', () => {
    const values = { 'HTTP_AUTH_TOKEN_a.example': 't\n', 'HTTP_AUTH_HEADER_b.example:8443': 'Basic eDp5' };
    assert.equal(of('https://a.example/x', values), 'Bearer t');
    assert.equal(of('https://b.example:8443/x', values), 'Basic eDp5');
    assert.equal(of('https://b.example/x', values), undefined);
    assert.equal(of('https://c.a.example/x', values), undefined);
  });

  it('is not sent in the clear', () => {
    assert.equal(of('http://a.example/x', { 'HTTP_AUTH_TOKEN_a.example': 't' }), undefined);
    assert.equal(of('http://127.0.0.1:1/x', { 'HTTP_AUTH_TOKEN_127.0.0.1:1': 't' }), 'Bearer t');
  });

  it('is one line', () => {
    assert.throws(() => of('https://a.example/', { 'HTTP_AUTH_TOKEN_a.example': 'a\nHost: b' }), {
      code: 'usage',
    });
  });

  it('does not follow a redirect to another host', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'slipway-authorize-'));
    const http = openHttp({ env: {} });
    try {
      await withServer(
        () => ({ status: 200 }),
        async (other, seenByOther) => {
          await withServer(
            () => ({ status: 302, location: `${other}/y` }),
            async (origin, seen) => {
              const authorize = authorizeHttp(secrets({ [`HTTP_AUTH_TOKEN_${new URL(origin).host}`]: 't' }));
              const signal = new AbortController().signal;
              await makeDownload(http)({ url: `${origin}/x`, to: join(dir, 'x'), signal, authorize });
              assert.deepEqual([seen, seenByOther], [['Bearer t'], [undefined]]);
            },
          );
        },
      );
    } finally {
      await http.close();
      rmSync(dir, { recursive: true });
    }
  });
});

describe('a credential for git', () => {
  const of = (url: string, values: Record<string, string>) => authorizeGit(secrets(values))(new URL(url));
  const basic = (token: string) => `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;

  it('of the host comes before one for all hosts, a header before a token', () => {
    assert.equal(of('https://a.example/r', { GIT_AUTH_TOKEN: 'all' }), basic('all'));
    const values = { GIT_AUTH_HEADER: 'Bearer all', 'GIT_AUTH_TOKEN.a.example': 'own' };
    assert.equal(of('https://a.example/r', values), basic('own'));
    assert.equal(of('https://b.example/r', values), 'Bearer all');
    assert.equal(of('http://b.example/r', values), undefined);
  });

  it('reaches the server', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'slipway-authorize-'));
    try {
      await withServer(
        () => ({ status: 404 }),
        async (origin, seen) => {
          const source = parseGitUrl(`${origin}/r.git`);
          assert.ok(source);
          const authorize = authorizeGit(secrets({ GIT_AUTH_TOKEN: 'canary' }));
          const signal = new AbortController().signal;
          await assert.rejects(fetchGit(source, { dir, env: {}, authorize, signal }), (error: Error) => {
            assert.doesNotMatch(error.message, /canary/);
            return true;
          });
          assert.equal(seen[0], basic('canary'));
        },
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
