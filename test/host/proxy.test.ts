import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { proxyFor } from '../../src/host/proxy.ts';

const proxied = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.href;

describe('the proxy for a URL', () => {
  it('is the one for its scheme, lower case before upper case, ALL_PROXY last', () => {
    const env = { HTTPS_PROXY: 'http://s:1', HTTP_PROXY: 'http://h:2', ALL_PROXY: 'http://a:3' };
    assert.equal(proxied('https://x.test/', env), 'http://s:1/');
    assert.equal(proxied('http://x.test/', env), 'http://h:2/');
    assert.equal(proxied('http://x.test/', { ALL_PROXY: 'a:3' }), 'http://a:3/');
    assert.equal(proxied('https://x.test/', { ...env, https_proxy: 'http://low:9' }), 'http://low:9/');
    assert.equal(proxied('https://x.test/', {}), undefined);
  });

  it('is none for this machine', () => {
    for (const url of ['http://localhost:5000/', 'https://127.0.0.1/', 'http://[::1]:1/']) {
      assert.equal(proxied(url, { ALL_PROXY: 'http://p' }), undefined);
    }
  });

  for (const [entry, url, direct] of [
    ['x.test', 'https://x.test/', true],
    ['x.test', 'https://sub.x.test/', true],
    ['.x.test', 'https://sub.x.test/', true],
    ['*.x.test', 'https://sub.x.test/', true],
    ['x.test', 'https://notx.test/', false],
    ['x.test:443', 'https://x.test/', true],
    ['x.test:444', 'https://x.test/', false],
    ['*', 'https://any.test/', true],
    ['10.0.0.0/8', 'http://10.200.0.1/', true],
    ['10.0.0.0/8', 'http://11.0.0.1/', false],
    ['192.168.4.0/22', 'http://192.168.7.9/', true],
    ['192.168.4.0/22', 'http://192.168.8.9/', false],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['other, 10.1.1.1 ,x', 'http://10.1.1.1/', true],
    ['X.Test', 'https://x.test/', true],
    ['0.1', 'http://10.0.0.1/', false],
  ] as const) {
    it(`is ${direct ? 'none' : 'used'} for ${url} with NO_PROXY=${entry}`, () => {
      assert.equal(proxied(url, { ALL_PROXY: 'http://p', NO_PROXY: entry }) === undefined, direct);
    });
  }

  it('is named by the variable that holds it when it cannot be used', () => {
    assert.throws(() => proxied('https://x.test', { ALL_PROXY: 'socks4://p' }), { message: /^ALL_PROXY/ });
  });

  it('must be a URL, and is not quoted when it is not', () => {
    assert.throws(
      () => proxied('http://x.test', { HTTP_PROXY: 'gopher://user:secret@x' }),
      (error: Error) => {
        assert.match(error.message, /HTTP_PROXY/);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
});
