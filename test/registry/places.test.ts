import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decideRealm, nextHop, nextPage, refusedKinds, uploadLocation } from '../../src/registry/places.ts';

const registry = new URL('https://registry.example.com/v2/');

describe('RG-02: the realm that a registry names', () => {
  for (const [from, realm, trusted] of [
    ['https://registry.example.com/', 'https://registry.example.com/token', true],
    ['https://registry.example.com:5050/', 'https://registry.example.com/jwt/auth', true],
    ['https://registry.example.com/', 'https://gitlab.example.com/jwt/auth', true],
    ['https://registry.gitlab.com/', 'https://gitlab.com/jwt/auth', true],
    ['https://registry-1.docker.io/', 'https://auth.docker.io/token', true],
    ['http://127.0.0.1:5000/', 'http://127.0.0.1:5001/token', true],
    ['https://registry.example.com/', 'https://evil.test/token', false],
    ['https://registry.example.com/', 'https://example.com.evil.test/token', false],
    ['https://one.azurecr.io/', 'https://two.azurecr.io/token', false],
    ['https://a.s3.amazonaws.com/', 'https://b.s3.amazonaws.com/token', false],
    ['https://reg.co.uk/', 'https://evil.co.uk/token', false],
    ['https://10.0.0.1/', 'https://10.0.0.2/token', false],
    ['http://reg.example.com/', 'http://auth.example.com/token', false],
  ] as const) {
    it(`${trusted ? 'may' : 'may not'} see credentials: ${from} names ${realm}`, () => {
      assert.equal(decideRealm(new URL(from), realm, []).trusted, trusted);
    });
  }

  it('may see them when the user says that the two belong together', () => {
    const realm = 'https://login.test/token';
    assert.equal(decideRealm(registry, realm, ['registry.example.com=login.test']).trusted, true);
    assert.equal(decideRealm(registry, realm, ['other.example.com=login.test']).trusted, false);
  });

  for (const realm of ['http://registry.example.com/token', 'file:///etc/passwd', 'ftp://x/y']) {
    it(`is not asked at all when it is ${realm}`, () => {
      assert.throws(() => decideRealm(registry, realm, []), { code: 'hostile' });
    });
  }

  it('must be a URL', () => {
    for (const realm of [undefined, '', 'token', '//x']) {
      assert.throws(() => decideRealm(registry, realm, []), { code: 'network' });
    }
  });
});

describe('RG-03: a redirect', () => {
  it('may lead to another host, which is then remembered as crossed', () => {
    assert.deepEqual(nextHop(registry, '/other'), {
      url: new URL('https://registry.example.com/other'),
      crossed: false,
    });
    for (const to of [
      'https://cdn.test/x',
      'https://registry.example.com:444/',
      'https://sub.registry.example.com/',
    ]) {
      assert.equal(nextHop(registry, to).crossed, true);
    }
  });

  it('never leads from https to http', () => {
    assert.throws(() => nextHop(registry, 'http://registry.example.com/x'), { code: 'hostile' });
  });

  it('must say where', () => {
    for (const to of [undefined, '', 'file:///x', 'http://[', 'javascript:1', `/${'x'.repeat(9000)}`]) {
      assert.throws(() => nextHop(registry, to), { code: 'network' });
    }
  });

  it('drops user names and fragments', () => {
    assert.equal(nextHop(registry, 'https://user:pw@cdn.test/x#y').url.href, 'https://cdn.test/x');
  });
});

describe('RG-03: the place where an upload continues', () => {
  it('is the registry itself, also when its proxy makes it say http', () => {
    assert.equal(uploadLocation(registry, '/v2/u/1?s=2').href, 'https://registry.example.com/v2/u/1?s=2');
    const behind = uploadLocation(registry, 'http://registry.example.com/v2/u/1');
    assert.equal(behind.href, 'https://registry.example.com/v2/u/1');
  });

  for (const to of [
    'https://evil.test/u',
    'https://registry.example.com:8443/u',
    'https://a.registry.example.com/u',
  ]) {
    it(`is not ${to}`, () => assert.throws(() => uploadLocation(registry, to), { code: 'hostile' }));
  }
});

describe('RG-04: the next page of a list', () => {
  const page = new URL('https://registry.example.com/v2/x/tags/list');
  it('is read from Link', () => {
    assert.equal(nextPage(page, '</v2/x/tags/list?last=b>; rel="next"')?.search, '?last=b');
    assert.equal(nextPage(page, undefined), undefined);
    assert.equal(nextPage(page, '</x>; rel="prev"'), undefined);
  });

  it('is on the same host', () => {
    for (const to of ['http://169.254.169.254/', 'https://evil.test/x', 'http://registry.example.com/x']) {
      assert.throws(() => nextPage(page, `<${to}>; rel="next"`), { code: 'hostile' });
    }
  });
});

describe('RG-02: addresses that a server may send us to', () => {
  it('follow from where it is itself', () => {
    assert.deepEqual(refusedKinds('93.184.216.34'), ['link-local', 'private', 'loopback']);
    assert.deepEqual(refusedKinds('10.1.2.3'), ['link-local', 'loopback']);
    assert.deepEqual(refusedKinds('127.0.0.1'), ['link-local']);
    assert.deepEqual(refusedKinds(undefined), ['link-local', 'loopback']);
  });
});
