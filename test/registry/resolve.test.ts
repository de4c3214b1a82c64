// From a reference to an image: documents that lie, indexes that go round in circles, platforms that are missing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePlatform } from '../../src/image/platform.ts';
import { parseReference } from '../../src/image/reference.ts';
import {
  addImage,
  errorBody,
  MemoryRegistry,
  ociIndex,
  ociManifest,
  sha256,
} from '../support/memory-registry.ts';
import { amd64, never, testRegistries } from '../support/registries.ts';

async function setUp() {
  const registry = await new MemoryRegistry().start();
  const registries = testRegistries();
  return {
    registry,
    registries,
    resolve: (name: string, platform = amd64) =>
      registries.resolve(parseReference(`${registry.host}/${name}`), platform, never),
    async [Symbol.asyncDispose]() {
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

type Entry = { digest: string; size: number; mediaType?: string; platform?: unknown };

function index(entries: readonly Entry[]): unknown {
  return {
    schemaVersion: 2,
    mediaType: ociIndex,
    manifests: entries.map(({ digest, size, mediaType = ociManifest, platform }) => ({
      mediaType,
      digest,
      size,
      platform,
    })),
  };
}

describe('an index', () => {
  it('gives the nearest platform, the first of equals, and reads no others', async () => {
    await using t = await setUp();
    const image = (variant: string | undefined, layer: string) => ({
      ...addImage(t.registry, 'app', undefined, {
        platform: { os: 'linux', architecture: 'arm' },
        layers: [layer],
      }),
      platform: { os: 'linux', architecture: 'arm', variant },
    });
    const [v5, v6, v7, again] = [image('v5', '5'), image('v6', '6'), image('v7', '7'), image('v6', '6b')];
    t.registry.addManifest('app', '1', ociIndex, index([v5, v7, v6, again]));
    const found = await t.resolve('app:1', parsePlatform('linux/arm/v6'));
    assert.equal(found.descriptor.digest, v6.digest);
    assert.deepEqual(t.registry.log.slice(-3), [
      ...[
        'GET /v2/app/manifests/1',
        `GET /v2/app/manifests/${v6.digest}`,
        `GET /v2/app/blobs/${found.manifest.config.digest}`,
      ],
    ]);
  });

  it('with attestations and other things beside the images gives the image', async () => {
    await using t = await setUp();
    const image = addImage(t.registry, 'app', undefined);
    const unknown = { ...image, platform: { os: 'unknown', architecture: 'unknown' } };
    const chart = {
      ...image,
      mediaType: 'application/vnd.example+json',
      platform: { os: 'linux', architecture: 'amd64' },
    };
    t.registry.addManifest(
      'app',
      '1',
      ociIndex,
      index([unknown, chart, { ...image, platform: { os: 'linux', architecture: 'amd64' } }]),
    );
    assert.equal((await t.resolve('app:1')).descriptor.digest, image.digest);
    t.registry.addManifest('app', '2', ociIndex, index([unknown]));
    await assert.rejects(t.resolve('app:2'), { code: 'not-found', hint: 'it holds no images at all' });
  });

  it('within an index is looked into, to a depth of four', async () => {
    await using t = await setUp();
    const image = addImage(t.registry, 'app', undefined);
    let inner: Entry = { ...image, platform: { os: 'linux', architecture: 'amd64' } };
    for (let depth = 1; depth <= 5; depth++) {
      inner = {
        ...t.registry.addManifest('app', `deep${depth}`, ociIndex, index([inner])),
        mediaType: ociIndex,
      };
    }
    assert.equal((await t.resolve('app:deep4')).descriptor.digest, image.digest);
    await assert.rejects(t.resolve('app:deep5'), { code: 'integrity', message: /more than 4 deep/ });
  });

  it('that names the same empty index many times is read once', async () => {
    await using t = await setUp();
    const empty = { ...t.registry.addManifest('app', undefined, ociIndex, index([])), mediaType: ociIndex };
    t.registry.addManifest('app', '1', ociIndex, index(Array.from({ length: 1000 }, () => empty)));
    await assert.rejects(t.resolve('app:1'), { code: 'not-found' });
    assert.ok(t.registry.seen.length < 40, `${t.registry.seen.length} requests`);
  });

  it('must tell the truth about its images', async () => {
    await using t = await setUp();
    const image = {
      ...addImage(t.registry, 'app', undefined),
      platform: { os: 'linux', architecture: 'amd64' },
    };
    t.registry.addManifest('app', 'size', ociIndex, index([{ ...image, size: image.size + 1 }]));
    await assert.rejects(t.resolve('app:size'), { code: 'integrity', message: /another size/ });
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    t.registry.addManifest('app', 'type', ociIndex, index([{ ...image, mediaType: type }]));
    await assert.rejects(t.resolve('app:type'), { code: 'integrity', message: /another media type/ });
  });
});

describe('a manifest', () => {
  it('for another platform is returned, and says which', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1', { platform: { os: 'linux', architecture: 'riscv64' } });
    assert.equal((await t.resolve('app:1')).config.platform.architecture, 'riscv64');
  });

  it('asked for by digest must have it', async () => {
    await using t = await setUp();
    const { digest } = addImage(t.registry, 'app', '1');
    t.registry.manifests.set(`app@${digest}`, {
      mediaType: ociManifest,
      bytes: Buffer.from('{"schemaVersion":2}'),
    });
    await assert.rejects(t.resolve(`app@${digest}`), {
      code: 'integrity',
      message: /does not have the digest/,
    });
  });

  it('must have the digest that its header announces', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1');
    const { bytes } = t.registry.manifests.get('app:1') ?? assert.fail();
    t.registry.script({ path: /manifests/ }, x =>
      x.answer(200, { 'content-type': ociManifest, 'docker-content-digest': sha256('x') }, bytes),
    );
    await assert.rejects(t.resolve('app:1'), { code: 'integrity' });
  });

  it('keeps the digest that it was asked for by, whatever its header announces', async () => {
    await using t = await setUp();
    const { digest } = addImage(t.registry, 'app', '1');
    const { bytes } = t.registry.manifests.get('app:1') ?? assert.fail();
    t.registry.script({ path: /manifests/ }, x =>
      x.answer(200, { 'content-type': ociManifest, 'docker-content-digest': sha256('x') }, bytes),
    );
    const image = await t.resolve(`app@${digest}`);
    assert.deepEqual([image.descriptor.digest, image.top.digest], [digest, digest]);
  });

  it('is recognised when the server says only that it is JSON', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1');
    const { bytes } = t.registry.manifests.get('app:1') ?? assert.fail();
    for (const type of ['application/json; charset=utf-8', 'text/plain', '']) {
      t.registry.script({ path: /manifests/ }, x =>
        x.answer(200, type ? { 'content-type': type } : {}, bytes),
      );
      assert.equal((await t.resolve('app:1')).descriptor.mediaType, ociManifest);
    }
  });

  const blob = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('{}'), size: 2 };
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256('x'), size: 1 };
  const good = { schemaVersion: 2, mediaType: ociManifest, config: blob, layers: [layer] };
  for (const [what, document, code] of [
    ['nothing', '', 'integrity'],
    ['null', 'null', 'integrity'],
    ['a list', '[]', 'integrity'],
    ['an empty object', '{}', 'integrity'],
    ['no layers', { ...good, layers: null }, 'integrity'],
    ['a negative size', { ...good, layers: [{ ...layer, size: -1 }] }, 'integrity'],
    ['a size beyond 2^53', { ...good, layers: [{ ...layer, size: 2 ** 63 }] }, 'integrity'],
    ['half a byte', { ...good, layers: [{ ...layer, size: 0.5 }] }, 'integrity'],
    ['a digest that climbs', { ...good, layers: [{ ...layer, digest: 'sha256:../../x' }] }, 'integrity'],
    [
      'upper-case hex',
      { ...good, layers: [{ ...layer, digest: layer.digest.toUpperCase().replace('SHA', 'sha') }] },
      'integrity',
    ],
    ['65 digits', { ...good, config: { ...blob, digest: `${blob.digest}0` } }, 'integrity'],
    ['md5', { ...good, config: { ...blob, digest: `md5:${'0'.repeat(32)}` } }, 'integrity'],
    [
      'sha512 with 64 digits',
      { ...good, config: { ...blob, digest: `sha512:${'0'.repeat(64)}` } },
      'integrity',
    ],
    ['layers and manifests', { ...good, manifests: [] }, 'hostile'],
    ['Layers and manifests', { schemaVersion: 2, Layers: [], manifests: [] }, 'hostile'],
    ['another media type inside', { ...good, mediaType: ociIndex }, 'integrity'],
    ['schema 1', { ...good, schemaVersion: 1 }, 'unsupported'],
    [
      'a chart',
      { ...good, config: { ...blob, mediaType: 'application/vnd.cncf.helm.config.v1+json' } },
      'unsupported',
    ],
    [
      'layers of statements',
      { ...good, layers: [{ ...layer, mediaType: 'application/vnd.in-toto+json' }] },
      'unsupported',
    ],
    ['a huge config', { ...good, config: { ...blob, size: 2 ** 40 } }, 'integrity'],
  ] as const) {
    it(`with ${what} is refused with one clear error (RG-06, RG-07, RG-08)`, async () => {
      await using t = await setUp();
      t.registry.addManifest('app', '1', ociManifest, document);
      await assert.rejects(t.resolve('app:1'), { name: 'BuildError', code });
    });
  }

  it('larger than 4 MiB is refused without reading it all (RG-12)', async () => {
    await using t = await setUp();
    let sent = 0;
    t.registry.script({ path: /manifests/ }, x => {
      x.response.writeHead(200, { 'content-type': ociManifest });
      const more = () => {
        while (!x.response.destroyed && sent < 1e9) {
          sent += 65_536;
          if (!x.response.write(Buffer.alloc(65_536, 32))) return;
        }
      };
      x.response.on('drain', more);
      more();
    });
    await assert.rejects(t.resolve('app:1'), { message: /larger than 4194304 bytes/ });
    assert.ok(sent < 1e8, `${sent} bytes were sent`);
  });

  it('whose config lists another number of layers is refused (RG-08)', async () => {
    await using t = await setUp();
    const config = t.registry.addBlob(
      'app',
      JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [] } }),
    );
    t.registry.addManifest('app', '1', ociManifest, { ...good, config: { ...blob, ...config } });
    await assert.rejects(t.resolve('app:1'), {
      code: 'integrity',
      message: /1 layers, but its config lists 0/,
    });
  });
});

describe('what a registry answers', () => {
  for (const [status, code, message] of [
    [404, 'not-found', /has no tag 1: MANIFEST_UNKNOWN: said/],
    [403, 'auth', /denies tag 1 \(repository:app:pull\)/],
    [500, 'network', /status 500/],
    [418, 'network', /status 418/],
  ] as const) {
    it(`with ${status} becomes an error of the kind ${code}`, async () => {
      await using t = await setUp();
      t.registry.script({ path: /manifests/ }, x =>
        x.answer(status, {}, errorBody('MANIFEST_UNKNOWN', 'said')),
      );
      await assert.rejects(t.resolve('app:1'), { code, message });
    });
  }

  it('is shown without control characters, and web pages are not shown', async () => {
    await using t = await setUp();
    t.registry.script({ path: /manifests/, times: 1 }, x =>
      x.answer(403, {}, errorBody('DENIED', '\u001b[31mred\r\n')),
    );
    await assert.rejects(t.resolve('app:1'), (error: Error) => {
      assert.match(error.message, /\\u001b\[31mred/);
      return !error.message.includes('\u001b');
    });
    t.registry.script({ path: /manifests/, times: 1 }, x => x.answer(403, {}, '<html>secret page'));
    await assert.rejects(t.resolve('app:1'), (error: Error) => !error.message.includes('html'));
  });

  it('is asked for again after 429 and 5xx, as often and as late as it says', async () => {
    await using t = await setUp();
    addImage(t.registry, 'app', '1');
    const path = /manifests\/1/;
    t.registry.script({ path, times: 1 }, x => x.answer(429, { 'retry-after': '7' }));
    t.registry.script({ path, times: 1 }, x => x.answer(503, { 'retry-after': '1000000000' }));
    t.registry.script({ path, times: 1 }, x => x.reset());
    await t.resolve('app:1');
    const [reset = 0, ...others] = t.registries.pauses;
    assert.ok(reset <= 500);
    assert.deepEqual(others, [30_000, 7000]);
  });

  it('stays busy: then it is given up, saying so', async () => {
    await using t = await setUp();
    t.registry.script({}, x => x.answer(429, {}, errorBody('TOOMANYREQUESTS', 'slow down')));
    await assert.rejects(t.resolve('app:1'), { code: 'network', message: /limits the rate .*slow down/ });
    assert.equal(t.registry.seen.length, 5);
  });
});

describe('a host', () => {
  it('that cannot be reached is named, and not waited for', async () => {
    const gone = await new MemoryRegistry().start();
    await gone[Symbol.asyncDispose]();
    await using registries = testRegistries();
    await assert.rejects(registries.resolve(parseReference(`${gone.host}/app`), amd64, never), {
      code: 'network',
      message: `${gone.host} cannot be reached: the connection is refused`,
    });
    assert.deepEqual(registries.pauses, []);
  });

  it('that falls silent is given up after the idle time', async () => {
    await using t = await setUp();
    t.registry.script({}, () => {});
    await using registries = testRegistries({ idleTimeoutMs: 1000, retry: { attempts: 1 } });
    await assert.rejects(registries.resolve(parseReference(`${t.registry.host}/app`), amd64, never), {
      message: `${t.registry.host} cannot be reached: it stopped answering for 1 s`,
    });
  });

  it('that falls silent can be left at any time', async () => {
    await using t = await setUp();
    const stop = new AbortController();
    t.registry.script({}, () => stop.abort(new Error('enough')));
    await assert.rejects(t.registries.resolve(parseReference(`${t.registry.host}/app`), amd64, stop.signal), {
      message: 'enough',
    });
  });
});

describe('referrers', () => {
  it('come from the API, or from the tag that older registries use', async () => {
    await using t = await setUp();
    const { digest, size } = addImage(t.registry, 'app', '1');
    const repository = { domain: t.registry.host, path: 'app' };
    const entry = { mediaType: ociManifest, digest, size, artifactType: 'application/x' };
    const list = {
      schemaVersion: 2,
      mediaType: ociIndex,
      manifests: [entry, { ...entry, artifactType: 'application/y' }],
    };
    const subject = parseReference(`a@${digest}`).digest ?? assert.fail();
    assert.deepEqual(await t.registries.listReferrers(repository, subject, never), []);
    t.registry.addManifest('app', digest.replace(':', '-'), ociIndex, list);
    assert.equal((await t.registries.listReferrers(repository, subject, never)).length, 2);
    t.registry.script({ path: /referrers/ }, x =>
      x.answer(200, { 'content-type': ociIndex }, JSON.stringify(list)),
    );
    const found = await t.registries.listReferrers(repository, subject, never, 'application/x');
    assert.deepEqual(
      found.map(d => d.artifactType),
      ['application/x'],
    );
  });

  for (const status of [400, 405, 406]) {
    it(`come from the tag where a registry answers ${status} to a path that it does not know`, async () => {
      await using t = await setUp();
      const { digest, size } = addImage(t.registry, 'app', '1');
      const repository = { domain: t.registry.host, path: 'app' };
      const subject = parseReference(`a@${digest}`).digest ?? assert.fail();
      t.registry.script({ path: /referrers/ }, x => x.answer(status));
      assert.deepEqual(await t.registries.listReferrers(repository, subject, never), []);
      const entry = { mediaType: ociManifest, digest, size, artifactType: 'application/x' };
      const list = { schemaVersion: 2, mediaType: ociIndex, manifests: [entry] };
      t.registry.addManifest('app', digest.replace(':', '-'), ociIndex, list);
      assert.equal((await t.registries.listReferrers(repository, subject, never)).length, 1);
    });
  }

  it('of a registry that denies them are not taken from the tag', async () => {
    await using t = await setUp();
    const { digest } = addImage(t.registry, 'app', '1');
    const repository = { domain: t.registry.host, path: 'app' };
    const subject = parseReference(`a@${digest}`).digest ?? assert.fail();
    t.registry.script({ path: /referrers/ }, x =>
      x.answer(400, {}, JSON.stringify({ errors: [{ code: 'DENIED' }] })),
    );
    await assert.rejects(t.registries.listReferrers(repository, subject, never), { code: 'auth' });
  });

  it('that fill the memory are refused', async () => {
    await using t = await setUp();
    const { digest } = addImage(t.registry, 'app', '1');
    const repository = { domain: t.registry.host, path: 'app' };
    const subject = parseReference(`a@${digest}`).digest ?? assert.fail();
    let asked = 0;
    t.registry.script({ path: /referrers/ }, x => {
      const page = JSON.stringify({ manifests: [], filler: 'x'.repeat(4_000_000) });
      const next = `</v2/app/referrers/${digest}?page=${++asked}>; rel="next"`;
      x.answer(200, asked < 40 ? { link: next } : {}, page);
    });
    const listed = t.registries.listReferrers(repository, subject, never);
    await assert.rejects(listed, { code: 'hostile', message: /referrers of .* is longer than 64 MiB/ });
    assert.ok(asked < 20);
  });
});
