// Certificates, plain http and proxies: nothing goes over an open line unless somebody said so.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { openHttp } from '../../src/host/http.ts';
import { parseReference } from '../../src/image/reference.ts';
import { addImage, MemoryRegistry } from '../support/memory-registry.ts';
import { amd64, never, testRegistries } from '../support/registries.ts';
import { type Authority, type Issued, makeAuthority } from '../support/tls.ts';

/** Every name leads to this machine. */
const toHere: LookupFunction = (_name, options, done) =>
  done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);

const portOf = (host: string) => host.slice(host.indexOf(':'));

describe('RG-05: a registry with a certificate', () => {
  let dir: string;
  let authority: Authority;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'slipway-tls-'));
    authority = makeAuthority(join(dir, 'ca'));
  });
  after(() => rmSync(dir, { recursive: true }));

  async function ask(tls: Issued | undefined, name: string, ca = authority.pem) {
    const registry = await new MemoryRegistry().start(tls);
    addImage(registry, 'app', '1');
    const host = name + portOf(registry.host);
    const home = mkdtempSync(join(dir, 'home-'));
    mkdirSync(join(home, 'etc/docker/certs.d', host), { recursive: true });
    writeFileSync(join(home, 'etc/docker/certs.d', host, 'ca.crt'), ca);
    const registries = testRegistries({ home, http: openHttp({ env: {}, lookup: toHere }) });
    try {
      return await registries.resolve(parseReference(`${host}/app:1`), amd64, never);
    } finally {
      await registries.close();
      await registry[Symbol.asyncDispose]();
      assert.ok(registry.seen.every(seen => seen.headers.host === host));
      if (!tls) assert.deepEqual(registry.seen, [], 'nothing was asked over plain http');
    }
  }

  it('of a trusted authority is used', async () => {
    await ask(authority.issue('good', ['DNS:registry.test']), 'registry.test');
  });

  it('that has expired is refused', async () => {
    const expired = authority.issue('expired', ['DNS:registry.test'], 'expired');
    await assert.rejects(ask(expired, 'registry.test'), {
      code: 'network',
      message: /its certificate has expired/,
    });
  });

  it('for another name is refused', async () => {
    const other = authority.issue('other', ['DNS:other.test']);
    await assert.rejects(ask(other, 'registry.test'), { message: /its certificate is for another name/ });
  });

  it('of a stranger is refused, also on this machine', async () => {
    const stranger = makeAuthority(join(dir, 'stranger'));
    const issued = stranger.issue('registry', ['DNS:registry.test', 'IP:127.0.0.1']);
    await assert.rejects(ask(issued, 'registry.test'), {
      message: /not trusted here/,
      hint: /certs\.d\/registry\.test:\d+/,
    });
    await assert.rejects(ask(issued, '127.0.0.1'), { message: /not trusted here/ });
  });

  it('that is missing because it speaks plain http is refused when it is not on this machine', async () => {
    await assert.rejects(ask(undefined, 'registry.test'), {
      message: /does not speak TLS/,
      hint: /insecure = true/,
    });
  });

  it('is not done without when its TLS port is closed', async () => {
    const asked: string[] = [];
    const real = openHttp({ env: {}, lookup: toHere });
    const send: typeof real.send = request => {
      asked.push(request.url.protocol);
      return real.send(request);
    };
    await using registries = testRegistries({ http: { send, close: () => real.close() } });
    await assert.rejects(registries.resolve(parseReference('registry.test:1/app'), amd64, never), {
      message: /the connection is refused/,
    });
    assert.deepEqual([...new Set(asked)], ['https:']);
  });

  it('is wanted from its token server as well', async () => {
    const stranger = makeAuthority(join(dir, 'token-stranger'));
    await using tokens = await new MemoryRegistry().start(stranger.issue('tokens', ['IP:127.0.0.1']));
    await using registry = await new MemoryRegistry().start();
    registry.script({}, x =>
      x.answer(401, { 'www-authenticate': `Bearer realm="https://${tokens.host}/token"` }),
    );
    await using registries = testRegistries({ login: { username: 'ada', password: 'pw' } });
    await assert.rejects(registries.resolve(parseReference(`${registry.host}/app`), amd64, never), {
      message: `the connection to ${tokens.host} is not trusted: its certificate comes from an authority that is not trusted here`,
    });
    assert.deepEqual(tokens.seen, []);
  });

  it('is shown ours when it asks for one', async () => {
    const server = authority.issue('server', ['IP:127.0.0.1']);
    const client = authority.issue('client', ['DNS:client']);
    let shown = '';
    const listener = createTlsServer(
      { cert: server.cert, key: server.key, ca: authority.pem, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        shown = String((request.socket as TLSSocket).getPeerCertificate().subject.CN);
        response.end('{"tags":[]}');
      },
    );
    await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
    const home = mkdtempSync(join(dir, 'home-'));
    const certs = join(home, '.config/containers/certs.d', host);
    mkdirSync(certs, { recursive: true });
    for (const [name, text] of [
      ['ca.crt', authority.pem],
      ['me.cert', client.cert],
      ['me.key', client.key],
    ] as const) {
      writeFileSync(join(certs, name), text);
    }
    await using registries = testRegistries({ home });
    assert.deepEqual(await registries.listTags({ domain: host, path: 'x' }, never), []);
    assert.equal(shown, 'client');
    rmSync(join(certs, 'me.key'));
    await using without = testRegistries({ home });
    await assert.rejects(without.listTags({ domain: host, path: 'x' }, never), {
      code: 'usage',
      message: /no key beside it/,
    });
    listener.closeAllConnections();
    listener.close();
  });
});

describe('plain http', () => {
  it('is spoken with a host that registries.conf calls insecure', async () => {
    await using registry = await new MemoryRegistry().start();
    addImage(registry, 'app', '1');
    const host = `registry.test${portOf(registry.host)}`;
    await using registries = testRegistries({ http: openHttp({ env: {}, lookup: toHere }) });
    mkdirSync(join(registries.home, 'etc/containers'), { recursive: true });
    const conf = `[[registry]]\nlocation = "${host}"\ninsecure = true\n`;
    writeFileSync(join(registries.home, 'etc/containers/registries.conf'), conf);
    await registries.resolve(parseReference(`${host}/app:1`), amd64, never);
  });
});

describe('a proxy', () => {
  /** A forward proxy that records what it is asked for, and leads everywhere to this machine. */
  async function startProxy() {
    const asked: string[] = [];
    const logins: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      logins.push(request.headers['proxy-authorization']);
      response.writeHead(502).end();
    });
    server.on('connect', (request, socket) => {
      asked.push(`CONNECT ${request.url}`);
      logins.push(request.headers['proxy-authorization']);
      const to = connect(Number(String(request.url).split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        to.pipe(socket).pipe(to);
      });
      to.on('error', () => socket.destroy());
      socket.on('error', () => to.destroy());
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const port = (server.address() as AddressInfo).port;
    const stop = async () => {
      server.closeAllConnections();
      server.close();
    };
    return { port, asked, logins, [Symbol.asyncDispose]: stop };
  }

  it('tunnels to a registry with TLS, and gets its own login and no other', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'slipway-proxy-'));
    const authority = makeAuthority(dir);
    await using registry = await new MemoryRegistry().start(authority.issue('r', ['DNS:registry.test']));
    addImage(registry, 'app', '1');
    await using proxy = await startProxy();
    const host = `registry.test${portOf(registry.host)}`;
    const certs = join(dir, 'etc/containers/certs.d', host);
    mkdirSync(certs, { recursive: true });
    writeFileSync(join(certs, 'ca.crt'), authority.pem);
    await using registries = testRegistries({
      home: dir,
      env: { HTTPS_PROXY: `http://proxy%20user:pw@127.0.0.1:${proxy.port}` },
      login: { username: 'ada', password: 's3cret' },
    });
    await registries.resolve(parseReference(`${host}/app:1`), amd64, never);
    assert.ok(
      proxy.asked.every(line => line === `CONNECT ${host}`),
      proxy.asked.join(),
    );
    assert.deepEqual(
      [...new Set(proxy.logins)],
      [`Basic ${Buffer.from('proxy user:pw').toString('base64')}`],
    );
    assert.ok(registry.seen.every(seen => seen.headers['proxy-authorization'] === undefined));
    rmSync(dir, { recursive: true });
  });

  it('is asked with the whole URL for plain http, and not for what NO_PROXY names', async () => {
    await using proxy = await startProxy();
    const url = `http://127.0.0.1:${proxy.port}`;
    const http = openHttp({ env: { HTTP_PROXY: url, NO_PROXY: 'direct.test' }, lookup: toHere });
    const send = (to: string) => http.send({ method: 'GET', url: new URL(to), signal: never });
    const answer = await send('http://plain.test/x?y');
    assert.equal(answer.status, 502);
    answer.body.destroy();
    assert.deepEqual(proxy.asked, ['GET http://plain.test/x?y']);
    const direct = await send(`http://direct.test:${proxy.port}/z`);
    direct.body.destroy();
    assert.deepEqual(proxy.asked.at(-1), 'GET /z');
    await http.close();
  });

  it('that cannot be reached is an error', async () => {
    const http = openHttp({ env: { HTTPS_PROXY: 'http://user:secret@127.0.0.1:1' } });
    const asked = http.send({
      method: 'GET',
      url: new URL('https://registry.test/?token=abc'),
      signal: never,
    });
    await assert.rejects(asked, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'network');
      assert.doesNotMatch(error.message, /secret|abc/);
      return true;
    });
    await http.close();
  });
});
