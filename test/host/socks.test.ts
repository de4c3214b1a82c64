// Proxies that speak SOCKS5: what they are told, and what their refusals become.
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { openHttp } from '../../src/host/http.ts';
import { MemoryRegistry } from '../support/memory-registry.ts';
import { startSocksServer } from '../support/socks-server.ts';

async function ask(proxy: string, url: string): Promise<number> {
  const http = openHttp({ env: { ALL_PROXY: proxy }, connectTimeoutMs: 2000 });
  try {
    const answer = await http.send({
      method: 'GET',
      url: new URL(url),
      signal: new AbortController().signal,
    });
    answer.body.destroy();
    return answer.status;
  } finally {
    await http.close();
  }
}

describe('a SOCKS5 proxy', () => {
  it('is told names and IPv4 addresses as they are, and loopback addresses never', async () => {
    await using proxy = await startSocksServer();
    await using registry = await new MemoryRegistry().start();
    const port = registry.host.split(':')[1];
    for (const scheme of ['socks5', 'socks5h']) {
      assert.equal(await ask(`${scheme}://${proxy.host}`, `http://registry.test:${port}/v2/`), 200);
      assert.equal(await ask(`${scheme}://${proxy.host}`, `http://192.0.2.7:${port}/v2/`), 200);
      assert.equal(await ask(`${scheme}://${proxy.host}`, `http://${registry.host}/v2/`), 200);
    }
    assert.deepEqual(proxy.asked, [
      ...[`registry.test:${port}`, `192.0.2.7:${port}`, `registry.test:${port}`, `192.0.2.7:${port}`],
    ]);
    assert.ok(registry.seen.every(seen => seen.headers['proxy-authorization'] === undefined));
  });

  it('is told IPv6 addresses in bytes', async () => {
    await using proxy = await startSocksServer();
    await using registry = await new MemoryRegistry().start();
    const port = registry.host.split(':')[1];
    assert.equal(await ask(`socks5://${proxy.host}`, `http://[2001:db8::1]:${port}/v2/`), 200);
    assert.deepEqual(proxy.asked, [`32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1:${port}`]);
  });

  it('gets its login, whatever is in it, and says when it is wrong', async () => {
    await using proxy = await startSocksServer({ login: { username: 'ada@x', password: 'p:w/ö' } });
    await using registry = await new MemoryRegistry().start();
    const url = `http://registry.test:${registry.host.split(':')[1]}/v2/`;
    assert.equal(await ask(`socks5://ada%40x:p%3Aw%2F%C3%B6@${proxy.host}`, url), 200);
    await assert.rejects(ask(`socks5://ada%40x:s3cret@${proxy.host}`, url), (error: Error) => {
      assert.match(error.message, new RegExp(`the proxy ${proxy.host} refuses the user name or password$`));
      assert.doesNotMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), /s3cret/);
      return true;
    });
    await assert.rejects(ask(`socks5://${proxy.host}`, url), {
      message: /wants a user name and a password$/,
    });
    assert.equal(registry.seen.length, 1);
  });

  for (const [status, message] of [
    [2, /does not allow it/],
    [4, /has no route to it/],
    [5, /says that the connection is refused/],
    [77, /failed with status 77/],
  ] as const) {
    it(`that answers ${status} is quoted in words`, async () => {
      await using proxy = await startSocksServer({ status });
      await assert.rejects(ask(`socks5://${proxy.host}`, 'https://registry.test/v2/'), {
        code: 'network',
        message,
        hint: `it is asked for through the proxy ${proxy.host}: see HTTPS_PROXY and NO_PROXY`,
      });
    });
  }

  it('that is none, hangs up or says nothing is an error', async () => {
    for (const [answer, message] of [
      ['HTTP/1.1 400 Bad Request\r\n\r\n', /does not speak SOCKS5/],
      ['', /broke off the connection/],
      [undefined, /does not answer/],
    ] as const) {
      const server = createServer(socket => {
        socket.on('error', () => {}).resume();
        if (answer !== undefined) socket.end(answer);
      });
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
      try {
        const proxy = `socks5://127.0.0.1:${(server.address() as AddressInfo).port}`;
        await assert.rejects(ask(proxy, 'http://registry.test/v2/'), { code: 'network', message });
      } finally {
        server.close();
      }
    }
  });
});
