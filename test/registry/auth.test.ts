// Tokens and credentials against scripted registries: who gets to see what, and when.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openHttp } from '../../src/host/http.ts';
import { parseReference } from '../../src/image/reference.ts';
import { mergeScopes } from '../../src/registry/scope.ts';
import { addImage, type Exchange, MemoryRegistry } from '../support/memory-registry.ts';
import { amd64, never, testRegistries } from '../support/registries.ts';

const ada = { username: 'ada', password: 's3cret' };
const basicHeader = `Basic ${Buffer.from('ada:s3cret').toString('base64')}`;

/** A registry that wants tokens, and a server that gives them out; both record what they see. */
async function tokenRegistry(
  change: { realm?: string; expiresIn?: number; answer?: (x: Exchange, count: number) => void } = {},
) {
  const registry = await new MemoryRegistry().start();
  const tokens = await new MemoryRegistry().start();
  const valid = new Set<string>();
  let count = 0;
  tokens.script({ path: /^\/token/ }, x => {
    count += 1;
    if (change.answer) return change.answer(x, count);
    valid.add(`Bearer token-${count}`);
    x.answer(200, {}, JSON.stringify({ token: `token-${count}`, expires_in: change.expiresIn ?? 300 }));
  });
  const challenge = `Bearer realm="${change.realm ?? `http://${tokens.host}/token`}",service="test"`;
  registry.script({}, x => {
    if (valid.has(x.seen.headers.authorization as string)) return x.honest();
    x.answer(401, { 'www-authenticate': challenge });
  });
  addImage(registry, 'app', '1');
  return {
    registry,
    tokens,
    valid,
    reference: parseReference(`${registry.host}/app:1`),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await tokens[Symbol.asyncDispose]();
    },
  };
}

describe('tokens', () => {
  it('are asked for once and used for all that follows', async () => {
    await using t = await tokenRegistry();
    await using registries = testRegistries({ login: ada });
    await Promise.all([1, 2, 3].map(() => registries.resolve(t.reference, amd64, never)));
    assert.equal(t.tokens.seen.length, 1);
    const [asked] = t.tokens.seen;
    assert.equal(asked?.headers.authorization, basicHeader);
    assert.match(asked?.url ?? '', /service=test&scope=repository%3Aapp%3Apull&account=ada/);
    assert.ok(
      t.registry.seen.every(seen => seen.headers.authorization !== basicHeader),
      'the registry sees tokens only',
    );
  });

  it('are renewed before they expire', async () => {
    let nowMs = 0;
    await using t = await tokenRegistry({ expiresIn: 100 });
    await using registries = testRegistries({ login: ada, now: () => nowMs });
    await registries.resolve(t.reference, amd64, never);
    nowMs = 70_000;
    await registries.resolve(t.reference, amd64, never);
    assert.equal(t.tokens.seen.length, 1);
    nowMs = 90_000;
    await registries.resolve(t.reference, amd64, never);
    assert.equal(t.tokens.seen.length, 2);
    assert.equal(
      t.registry.seen.filter(seen => seen.headers.authorization === undefined).length,
      1,
      'without a second 401',
    );
  });

  it('are asked for again when the registry stops accepting one', async () => {
    await using t = await tokenRegistry();
    await using registries = testRegistries({ login: ada });
    await registries.resolve(t.reference, amd64, never);
    t.valid.clear();
    await registries.resolve(t.reference, amd64, never);
    assert.equal(t.tokens.seen.length, 2);
  });

  it('are asked for without credentials when there are none', async () => {
    await using t = await tokenRegistry();
    await using registries = testRegistries();
    await registries.resolve(t.reference, amd64, never);
    assert.equal(t.tokens.seen[0]?.headers.authorization, undefined);
  });

  it('come from a server that is tried again when it is busy', async () => {
    await using t = await tokenRegistry({
      answer: (x, count) => {
        if (count === 1) return x.answer(503, { 'retry-after': '2' });
        t.valid.add('Bearer late');
        x.answer(200, {}, '{"access_token":"late"}');
      },
    });
    await using registries = testRegistries();
    await registries.resolve(t.reference, amd64, never);
    assert.equal(registries.pauses.length, 1);
    assert.ok((registries.pauses[0] ?? 0) >= 2000);
  });

  for (const [what, answer] of [
    ['that is no JSON', (x: Exchange) => x.answer(200, {}, 'token=abc')],
    ['without a token', (x: Exchange) => x.answer(200, {}, '{}')],
    ['with a line break in the token', (x: Exchange) => x.answer(200, {}, '{"token":"a\\r\\nx: y"}')],
    ['that does not end', (x: Exchange) => endless(x, 200)],
  ] as const) {
    it(`are refused in an answer ${what} (RG-11, RG-12)`, async () => {
      await using t = await tokenRegistry({ answer });
      await using registries = testRegistries();
      await assert.rejects(registries.resolve(t.reference, amd64, never), { code: 'network' });
    });
  }

  it('that are refused say that the credentials are wrong, and do not repeat them', async () => {
    await using t = await tokenRegistry({ answer: x => x.answer(401, {}, '{"details":"s3cret is wrong"}') });
    await using registries = testRegistries({ login: ada });
    await assert.rejects(
      registries.resolve(t.reference, amd64, never),
      (error: Error & { hint?: string }) => {
        assert.match(error.message, /refuses the user name or password/);
        assert.equal(error.hint, `log in again: slipway login ${t.registry.host}`);
        assert.doesNotMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), /s3cret/);
        return true;
      },
    );
  });
});

describe('credentials given on the command line', () => {
  it('for one host are not shown to others', async () => {
    await using registry = await new MemoryRegistry().start();
    registry.script({}, x => x.answer(401, { 'www-authenticate': 'Basic realm="x"' }));
    await using registries = testRegistries({ login: { ...ada, host: 'other.test' } });
    await assert.rejects(registries.listTags({ domain: registry.host, path: 'app' }, never), {
      code: 'auth',
    });
    assert.ok(registry.seen.every(seen => seen.headers.authorization === undefined));
    await using mine = testRegistries({ login: { ...ada, host: registry.host } });
    await assert.rejects(mine.listTags({ domain: registry.host, path: 'app' }, never), { code: 'auth' });
    assert.equal(registry.seen.at(-1)?.headers.authorization, basicHeader);
  });
});

describe('RG-02: a realm on another host', () => {
  it('gets no credentials unless the user says so', async () => {
    await using other = await new MemoryRegistry().start();
    other.script({}, x => x.answer(200, {}, '{"token":"t"}'));
    const elsewhere = `http://localhost:${other.host.split(':')[1]}/token`;
    await using t = await tokenRegistry({ realm: elsewhere });
    t.valid.add('Bearer t');
    await using careful = testRegistries({ login: ada });
    await assert.rejects(careful.resolve(t.reference, amd64, never), {
      code: 'auth',
      hint: /SLIPWAY_TRUSTED_REALMS=/,
    });
    assert.equal(other.seen.length, 0);
    const pair = `${t.registry.host}=${new URL(elsewhere).host}`;
    await using told = testRegistries({ login: ada, env: { SLIPWAY_TRUSTED_REALMS: `a=b, ${pair}` } });
    await told.resolve(t.reference, amd64, never);
    assert.equal(other.seen[0]?.headers.authorization, basicHeader);
  });

  it('may be asked for a token without credentials', async () => {
    await using t = await tokenRegistry();
    await using registries = testRegistries();
    await registries.resolve(t.reference, amd64, never);
    assert.equal(t.tokens.seen.length, 1);
  });

  it('is not contacted inside this network when the registry is outside, whatever name leads there', async () => {
    await using sink = await new MemoryRegistry().start();
    const port = sink.host.split(':')[1];
    for (const realm of [
      ...[`http://127.0.0.1:${port}/t`, `http://[::ffff:127.0.0.1]:${port}/t`, `http://2130706433:${port}/t`],
      ...[
        `http://0.0.0.0:${port}/t`,
        'http://169.254.169.254/latest',
        'http://10.0.0.1/',
        `http://inside.test:${port}/t`,
      ],
    ]) {
      await using t = await tokenRegistry({ realm });
      // Names lead to this machine; the registry says that it is far away.
      const real = openHttp({
        env: {},
        lookup: (_name, options, done) =>
          done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4),
      });
      const send: typeof real.send = async request => {
        const answer = await real.send(request);
        return request.url.host === t.registry.host ? { ...answer, peer: '93.184.216.34' } : answer;
      };
      await using registries = testRegistries({ http: { send, close: () => real.close() } });
      await assert.rejects(registries.resolve(t.reference, amd64, never), { code: 'hostile' }, realm);
    }
    assert.deepEqual(sink.seen, []);
  });

  it('RG-03: may not redirect to yet another host', async () => {
    await using sink = await new MemoryRegistry().start();
    await using t = await tokenRegistry({
      answer: x => x.answer(302, { location: `http://${sink.host}/token` }),
    });
    await using registries = testRegistries({ login: ada });
    await assert.rejects(registries.resolve(t.reference, amd64, never), { code: 'hostile' });
    assert.deepEqual(sink.seen, []);
  });
});

describe('RG-12: a challenge', () => {
  it('that never ends or has no sense is an error', async () => {
    for (const challenge of ['Bearer realm="http://x', 'Nonsense', 'Bearer service="x"', 'Negotiate']) {
      await using registry = await new MemoryRegistry().start();
      registry.script({}, x => x.answer(401, { 'www-authenticate': challenge }));
      await using registries = testRegistries();
      await assert.rejects(
        registries.resolve(parseReference(`${registry.host}/app`), amd64, never),
        (error: { code?: string }) => error.code === 'auth' || error.code === 'network',
        challenge,
      );
    }
  });

  it('comes with a body that is not read to its end', async () => {
    await using registry = await new MemoryRegistry().start();
    registry.script({}, x => endless(x, 401));
    await using registries = testRegistries();
    await assert.rejects(registries.resolve(parseReference(`${registry.host}/app`), amd64, never), {
      code: 'auth',
    });
  });
});

describe('scopes', () => {
  it('of one resource are joined', () => {
    assert.deepEqual(
      mergeScopes(['repository:a/b:pull,push', 'repository:c:pull'], 'repository:a/b:pull,delete'),
      [...['repository:a/b:delete,pull,push', 'repository:c:pull']],
    );
  });

  it('out of a challenge are taken only when they are some', () => {
    assert.deepEqual(mergeScopes([], 'registry:catalog:* x repository:: "evil repository:r:5000/a:pull'), [
      ...['registry:catalog:*', 'repository:r:5000/a:pull'],
    ]);
  });
});

/** Sends until the other side hangs up. */
function endless(x: Exchange, status: number): void {
  x.response.writeHead(status, { 'www-authenticate': 'Negotiate' });
  const chunk = Buffer.alloc(65_536, 32);
  const more = () => {
    while (!x.response.destroyed && x.response.write(chunk));
  };
  x.response.on('drain', more);
  more();
}
