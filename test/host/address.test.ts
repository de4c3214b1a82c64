import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressKind, isLoopbackHost, literalKind } from '../../src/host/address.ts';

describe('the kind of an address', () => {
  for (const [address, kind] of [
    ['93.184.216.34', 'public'],
    ['2606:2800:220:1::1', 'public'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12::1', 'private'],
    ['127.8.9.10', 'loopback'],
    ['::1', 'loopback'],
    ['0.0.0.0', 'loopback'],
    ['::', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['64:ff9b::a00:1', 'private'],
    ['169.254.169.254', 'link-local'],
    ['fe80::1', 'link-local'],
    ['224.0.0.1', 'link-local'],
  ] as const) {
    it(`of ${address} is ${kind}`, () => assert.equal(addressKind(address), kind));
  }

  for (const [url, kind] of [
    ['http://2130706433/', 'loopback'],
    ['http://0x7f.1/', 'loopback'],
    ['http://[::ffff:a9fe:a9fe]/', 'link-local'],
    ['http://LOCALHOST./', 'loopback'],
    ['http://x.localhost/', 'loopback'],
    ['http://example.com/', undefined],
  ] as const) {
    it(`in ${url} is ${kind ?? 'for DNS to say'}`, () => assert.equal(literalKind(new URL(url)), kind));
  }

  it('is loopback for these hosts and no others', () => {
    for (const host of ['localhost', 'localhost:5000', '127.0.0.1:1', '[::1]:5000'])
      assert.ok(isLoopbackHost(host), host);
    for (const host of ['localhost.evil.test', '128.0.0.1', 'evil', '127.evil.test'])
      assert.ok(!isLoopbackHost(host), host);
  });
});
