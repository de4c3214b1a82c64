// Where credentials, headers and bodies may travel: a registry that redirects and names places, and sinks that
// record what arrives (CVE-2022-31151 and its kin).
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parseReference } from '../../src/image/reference.ts';
import { memoryBlob } from '../../src/registry/push.ts';
import { addImage, MemoryRegistry, type Seen } from '../support/memory-registry.ts';
import { amd64, MemorySink, never, type TestRegistries, testRegistries } from '../support/registries.ts';

const login = { username: 'ada', password: 's3cret' };

/** A registry that wants a password, and another server. */
async function pair() {
  const registry = await new MemoryRegistry().start();
  registry.script({}, x => {
    if (x.seen.headers.authorization) return x.honest();
    x.answer(401, { 'www-authenticate': 'Basic realm="test"' });
  });
  const sink = await new MemoryRegistry().start();
  const registries = testRegistries({ login });
  return {
    registry,
    sink,
    registries,
    reference: parseReference(`${registry.host}/app:1`),
    async [Symbol.asyncDispose]() {
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
    },
  };
}

const plain = new Set(['host', 'connection', 'user-agent', 'accept', 'accept-encoding', 'range', 'if-range']);

function assertInnocent(seen: readonly Seen[]): void {
  for (const { headers, bodyBytes } of seen) {
    assert.deepEqual(
      Object.keys(headers).filter(name => !plain.has(name)),
      [],
    );
    assert.equal(bodyBytes, 0);
  }
}

async function pushSomething(registries: TestRegistries, host: string, size = 100): Promise<unknown> {
  const bytes = randomBytes(size);
  const descriptor = { mediaType: mediaTypes.ociLayerTar, digest: digestOf(bytes), size };
  const document = Buffer.from('{}');
  return registries.push(
    {
      references: [parseReference(`${host}/app:1`)],
      documents: [{ mediaType: mediaTypes.ociManifest, bytes: document }],
      blobs: [memoryBlob(descriptor, bytes)],
    },
    never,
  );
}

describe('RG-03: a redirect of a download', () => {
  for (const status of [301, 302, 303, 307, 308]) {
    it(`with ${status} to another host carries nothing but the plain request`, async () => {
      await using t = await pair();
      const { layers } = addImage(t.registry, 'app', '1');
      addImage(t.sink, 'app', '1');
      t.registry.script({ path: /\/blobs\// }, x =>
        x.answer(status, { location: `http://${t.sink.host}${x.seen.url}` }),
      );
      const image = await t.registries.resolve(t.reference, amd64, never);
      const sink = new MemorySink();
      const [layer] = image.manifest.layers;
      assert.ok(layer);
      await t.registries.download(t.reference, layer, sink, never);
      assert.equal(digestOf(sink.bytes), layers[0]?.digest);
      assert.equal(t.sink.seen.length, 2);
      assertInnocent(t.sink.seen);
    });
  }

  it('that comes back carries nothing any more', async () => {
    await using t = await pair();
    addImage(t.registry, 'app', '1');
    const path = /\/manifests\//;
    t.registry.script({ path, times: 2 }, x => {
      if (!x.seen.headers.authorization) return x.answer(401, { 'www-authenticate': 'Basic realm="test"' });
      x.answer(307, { location: `http://${t.sink.host}/back` });
    });
    t.sink.script({ path: /back/ }, x =>
      x.answer(307, { location: `http://${t.registry.host}/v2/app/manifests/1` }),
    );
    await assert.rejects(t.registries.resolve(t.reference, amd64, never), { code: 'auth' });
    assertInnocent(t.sink.seen);
    assert.equal(t.registry.seen.at(-1)?.headers.authorization, undefined);
  });

  it('within the host keeps the login', async () => {
    await using t = await pair();
    addImage(t.registry, 'app', '1');
    t.registry.script({ path: /\/manifests\/1$/, times: 2 }, x => {
      if (!x.seen.headers.authorization) return x.answer(401, { 'www-authenticate': 'Basic realm="test"' });
      x.answer(307, { location: './1?again' });
    });
    await t.registries.resolve(t.reference, amd64, never);
  });

  it('that goes round in circles ends', async () => {
    await using t = await pair();
    t.registry.script({ path: /manifests/ }, x => x.answer(302, { location: x.seen.url }));
    await assert.rejects(t.registries.resolve(t.reference, amd64, never), {
      message: /redirects more than 10 times/,
    });
    assert.equal(t.registry.seen.length, 11);
  });

  it('to a place that is none is an error', async () => {
    for (const location of [undefined, 'ftp://x/', 'http://[']) {
      await using t = await pair();
      t.registry.script({ path: /manifests/ }, x => x.answer(302, location ? { location } : {}));
      await assert.rejects(t.registries.resolve(t.reference, amd64, never), { code: 'network' });
    }
  });

  it('into the cloud’s metadata service is refused', async () => {
    await using t = await pair();
    t.registry.script({ path: /manifests/ }, x =>
      x.answer(302, { location: 'http://169.254.169.254/latest' }),
    );
    await assert.rejects(t.registries.resolve(t.reference, amd64, never), { code: 'hostile' });
  });
});

describe('RG-03: an upload', () => {
  for (const phase of ['POST', 'PATCH', 'PUT'] as const) {
    it(`whose ${phase} is redirected to another host stays at home`, async () => {
      await using t = await pair();
      t.registry.script({ method: phase, path: /uploads/ }, async x => {
        if (!x.seen.headers.authorization) return x.answer(401, { 'www-authenticate': 'Basic realm="test"' });
        await x.body();
        x.answer(307, { location: `http://${t.sink.host}/v2/app/blobs/uploads/` });
      });
      await assert.rejects(pushSomething(t.registries, t.registry.host, 2_000_000), { code: 'hostile' });
      assert.deepEqual(t.sink.seen, []);
    });
  }

  for (const phase of ['POST', 'PATCH'] as const) {
    it(`that ${phase} wants to continue on another host stays at home`, async () => {
      await using t = await pair();
      t.registry.script({ method: phase, path: /uploads/ }, async x => {
        if (!x.seen.headers.authorization) return x.answer(401, { 'www-authenticate': 'Basic realm="test"' });
        await x.body();
        x.answer(202, { location: `http://${t.sink.host}/v2/app/blobs/uploads/1` });
      });
      await assert.rejects(pushSomething(t.registries, t.registry.host, 2_000_000), { code: 'hostile' });
      assert.deepEqual(t.sink.seen, []);
      assert.ok(!t.registry.log.some(line => line.includes('/manifests/')), 'no tag was set');
    });
  }

  it('whose manifest is redirected to another host stays at home', async () => {
    await using t = await pair();
    t.registry.script({ method: 'PUT', path: /manifests/ }, x =>
      x.answer(307, { location: `http://${t.sink.host}/m` }),
    );
    await assert.rejects(pushSomething(t.registries, t.registry.host), { code: 'hostile' });
    assert.deepEqual(t.sink.seen, []);
  });

  it('follows a redirect within the host with its body', async () => {
    await using t = await pair();
    t.registry.script({ method: 'PUT', path: /manifests\/1$/ }, async x => {
      await x.body();
      x.answer(308, { location: '/v2/app/manifests/moved' });
    });
    await pushSomething(t.registries, t.registry.host);
    assert.equal(t.registry.manifests.get('app:moved')?.bytes.toString(), '{}');
  });
});

describe('RG-04: a list', () => {
  it('that continues elsewhere is refused, and one that never ends is given up', async () => {
    await using t = await pair();
    const next = (url: string) =>
      t.registry.script({ path: /tags/ }, x =>
        x.answer(200, { link: `<${url}>; rel="next"` }, '{"tags":["a"]}'),
      );
    next(`http://${t.sink.host}/v2/app/tags/list`);
    await assert.rejects(t.registries.listTags(t.reference, never), { code: 'hostile' });
    next('/v2/app/tags/list');
    await assert.rejects(t.registries.listTags(t.reference, never), { message: /does not end/ });
    assert.deepEqual(t.sink.seen, []);
  });

  it('is put together from its pages', async () => {
    await using t = await pair();
    t.registry.script({ path: /tags/ }, x => {
      const last = /last=(\d+)/.exec(x.seen.url)?.[1];
      const page = Number(last ?? 0) + 1;
      const headers = page < 3 ? { link: `</v2/app/tags/list?last=${page}>; rel="next"` } : undefined;
      x.answer(200, headers, JSON.stringify({ tags: [`t${page}`] }));
    });
    assert.deepEqual(await t.registries.listTags(t.reference, never), ['t1', 't2', 't3']);
  });
});
