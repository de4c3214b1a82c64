// Pushes that break in every phase: the blob must arrive once and whole, the tag last or not at all.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parseReference } from '../../src/image/reference.ts';
import { memoryBlob, type PushRequest } from '../../src/registry/push.ts';
import type { RegistriesOptions } from '../../src/registry/registry.ts';
import { type Exchange, errorBody, MemoryRegistry } from '../support/memory-registry.ts';
import { never, testRegistries } from '../support/registries.ts';

const large = randomBytes(6_000_000);
const small = randomBytes(1000);
const uploads = /\/blobs\/uploads\//;
const document = Buffer.from('{"schemaVersion":2}');

async function setUp(options: Partial<RegistriesOptions> = {}) {
  const registry = await new MemoryRegistry().start();
  const registries = testRegistries(options);
  const delivered: string[] = [];
  const push = (bytes: Buffer, change: Partial<PushRequest> & { mountFrom?: readonly string[] } = {}) => {
    const descriptor = { mediaType: mediaTypes.ociLayerTar, digest: digestOf(bytes), size: bytes.length };
    return registries.push(
      {
        references: [parseReference(`${registry.host}/app:1`)],
        documents: [{ mediaType: mediaTypes.ociManifest, bytes: document }],
        blobs: [{ ...memoryBlob(descriptor, bytes), mountFrom: change.mountFrom ?? [] }],
        onDelivered: (_digest, _repository, how) => delivered.push(how),
        ...change,
      },
      never,
    );
  };
  return {
    registry,
    registries,
    push,
    delivered,
    assertPushed(bytes: Buffer) {
      assert.ok(registry.blobs.get(digestOf(bytes))?.equals(bytes), 'the blob is there and whole');
      assert.ok(registry.links.has(`app@${digestOf(bytes)}`));
      assert.ok(registry.manifests.get('app:1')?.bytes.equals(document), 'the tag is set');
      assert.match(registry.log.at(-1) ?? '', /^PUT .*\/manifests\/1$/, 'the tag is the last thing');
    },
    assertUntouched() {
      assert.ok(!registry.log.some(line => line.includes('/manifests/')), 'no manifest was sent');
    },
    async [Symbol.asyncDispose]() {
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

/** Takes some of the body and breaks the connection. */
async function breakWhileReading(x: Exchange, registry: MemoryRegistry, count: number): Promise<void> {
  const id = /uploads\/([^?]+)/.exec(x.seen.url)?.[1] ?? '';
  let got = registry.uploads.get(id) ?? Buffer.alloc(0);
  for await (const part of x.request) {
    got = Buffer.concat([got, part as Buffer]);
    if (got.length >= count) break;
  }
  registry.uploads.set(id, got);
  x.reset();
}

describe('a push', () => {
  it('sends a small blob in one piece and a large one as a stream', async () => {
    await using t = await setUp();
    await t.push(small);
    t.assertPushed(small);
    const methods = () => t.registry.log.map(line => line.split(' ')[0]).join(' ');
    assert.equal(methods(), 'HEAD POST PUT PUT');
    t.registry.seen.length = 0;
    await t.push(large);
    t.assertPushed(large);
    assert.equal(methods(), 'HEAD POST PATCH PUT PUT');
  });

  it('with several tags in several repositories sets all of them after all blobs', async () => {
    await using t = await setUp();
    const references = ['app:1', 'app:2', 'other:1'].map(name =>
      parseReference(`${t.registry.host}/${name}`),
    );
    const pushed = await t.push(small, { references });
    assert.deepEqual(
      pushed.map(p => p.digest),
      references.map(() => digestOf(document)),
    );
    const firstTag = t.registry.log.findIndex(line => /manifests\/\d$/.test(line));
    assert.ok(t.registry.log.slice(firstTag).every(line => line.includes('/manifests/')));
    assert.deepEqual(t.delivered, ['sent', 'sent']);
  });

  it('without a tag stores the manifest under its digest', async () => {
    await using t = await setUp();
    await t.push(small, { references: [parseReference(`${t.registry.host}/app`)] });
    assert.match(t.registry.log.at(-1) ?? '', /manifests\/sha256:/);
  });

  it('mounts from where the blob is, and sends it when that does not work', async () => {
    await using t = await setUp();
    t.registry.addBlob('base', small);
    await t.push(small, { mountFrom: ['app', 'base'] });
    t.assertPushed(small);
    assert.deepEqual(t.delivered, ['mounted']);
    await t.push(large, { mountFrom: ['nowhere'] });
    t.assertPushed(large);
    t.registry.script({ method: 'POST', path: uploads, times: 1 }, x =>
      x.answer(403, {}, errorBody('DENIED')),
    );
    const other = randomBytes(2000);
    await t.push(other, { mountFrom: ['forbidden'] });
    t.assertPushed(other);
    assert.deepEqual(t.delivered, ['mounted', 'sent', 'sent']);
  });
});

describe('a connection that breaks', () => {
  for (const method of ['HEAD', 'POST', 'PATCH', 'PUT']) {
    it(`at the beginning of ${method} is made again`, async () => {
      await using t = await setUp();
      t.registry.script({ method, times: 1 }, x => x.reset());
      await t.push(large);
      t.assertPushed(large);
    });
  }

  it('in the middle of a large blob goes on where the registry is', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PATCH', times: 1 }, x => breakWhileReading(x, t.registry, 2_000_000));
    await t.push(large);
    t.assertPushed(large);
    const second = t.registry.seen.filter(seen => seen.method === 'PATCH')[1];
    assert.match(String(second?.headers['content-range']), /^[2-9]\d{6}-5999999$/);
    assert.equal(
      (second?.bodyBytes ?? 0) + Number(/^\d+/.exec(String(second?.headers['content-range']))?.[0]),
      large.length,
    );
  });

  it('in the middle of an upload that the registry then forgot begins anew', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PATCH', times: 1 }, async x => {
      await breakWhileReading(x, t.registry, 2_000_000);
      t.registry.uploads.clear();
    });
    await t.push(large);
    t.assertPushed(large);
  });

  it('after the last byte is not made again when the blob has arrived', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PUT', path: uploads, times: 1 }, async x => {
      t.registry.addBlob('app', small);
      x.reset();
    });
    await t.push(small);
    t.assertPushed(small);
    assert.equal(t.registry.log.filter(line => line.startsWith('POST')).length, 1);
  });

  it('at the manifest is made again', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PUT', path: /manifests/, times: 1 }, x => x.reset());
    await t.push(small);
    t.assertPushed(small);
  });

  it('again and again is given up, and the tag is left as it was', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PATCH' }, x => x.reset());
    await assert.rejects(t.push(large), { code: 'network' });
    t.assertUntouched();
  });
});

describe('a registry that answers oddly', () => {
  for (const status of [429, 500, 502, 503, 504]) {
    it(`with ${status} in any phase is asked again`, async () => {
      for (const method of ['HEAD', 'POST', 'PATCH', 'PUT']) {
        await using t = await setUp();
        t.registry.script({ method, times: 1 }, async x => {
          await x.body();
          x.answer(status, { 'retry-after': '1' });
        });
        await t.push(large);
        t.assertPushed(large);
        assert.ok(
          t.registries.pauses.some(ms => ms >= 1000),
          method,
        );
      }
    });
  }

  it('with 401 in the middle of an upload gets a new proof', async () => {
    await using t = await setUp({ login: { username: 'a', password: 'b' } });
    t.registry.script({ method: 'PATCH', times: 1 }, async x => {
      await x.body();
      x.answer(401, { 'www-authenticate': 'Basic realm="late"' });
    });
    await t.push(large);
    t.assertPushed(large);
  });

  it('with 413 for the whole gets pieces', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PATCH' }, async x => {
      if (Number(x.seen.headers['content-length']) <= 4 * 1024 * 1024) return x.honest();
      await x.body();
      x.answer(413);
    });
    await t.push(large);
    t.assertPushed(large);
    const ranges = t.registry.seen.flatMap(seen => seen.headers['content-range'] ?? []);
    assert.deepEqual(ranges, ['0-4194303', '4194304-5999999']);
  });

  it('with 413 for everything is reported as it is', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PATCH' }, async x => {
      await x.body();
      x.answer(413);
    });
    await assert.rejects(t.push(large), { code: 'network', message: /too large/ });
    t.assertUntouched();
  });

  it('with 416 or 404 in the middle is begun anew', async () => {
    for (const status of [404, 416]) {
      await using t = await setUp();
      t.registry.script({ method: 'PATCH', times: 1 }, async x => {
        await x.body();
        x.answer(status);
      });
      await t.push(large);
      t.assertPushed(large);
    }
  });

  it('with 202 to the last request is believed only when the blob is there', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PUT', path: uploads, times: 1 }, async x => {
      await x.body();
      x.answer(202);
    });
    await t.push(small);
    t.assertPushed(small);
    assert.equal(t.registry.log.filter(line => /^PUT .*uploads/.test(line)).length, 2);
  });

  it('without a place for the upload is an error', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'POST' }, x => x.answer(202));
    await assert.rejects(t.push(small), {
      code: 'network',
      message: /accepts an upload without saying where/,
    });
  });

  it('that does not know a manifest’s blob yet is asked again', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PUT', path: /manifests/, times: 1 }, x =>
      x.answer(404, {}, errorBody('MANIFEST_BLOB_UNKNOWN')),
    );
    t.registry.script({ method: 'PUT', path: /manifests/, times: 1 }, x =>
      x.answer(400, {}, errorBody('BLOB_UNKNOWN')),
    );
    await t.push(small);
    t.assertPushed(small);
  });

  // docker-registry, when two clients send one blob and one of them its manifest.
  it('that reads a link while it is being written is asked again', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'PUT', path: /manifests/, times: 1 }, x =>
      x.answer(400, {}, errorBody('DIGEST_INVALID', 'provided digest did not match uploaded content')),
    );
    await t.push(small);
    t.assertPushed(small);
  });

  it('that stored another manifest is not believed', async () => {
    await using t = await setUp();
    const other = { 'docker-content-digest': digestOf('x') };
    t.registry.script({ method: 'PUT', path: /manifests/ }, x => x.answer(201, other));
    await assert.rejects(t.push(small), { code: 'integrity' });
  });

  it('that denies the push says what for', async () => {
    await using t = await setUp();
    t.registry.script({ method: 'POST' }, x => x.answer(403, {}, errorBody('DENIED', 'not yours')));
    await assert.rejects(t.push(small), {
      code: 'auth',
      message: /denies upload of blob sha256:.* \(repository:app:pull,push\): DENIED: not yours/,
      hint: `log in first: slipway login ${t.registry.host}`,
    });
    t.assertUntouched();
  });

  // As Debian's docker-registry answers with its disk full: to PATCH, and to POST.
  for (const detail of [
    'write /var/lib/registry/x/data: no space left on device',
    { DriverName: 'filesystem', Enclosed: { Op: 'write', Path: '/var/lib/registry/x/startedat', Err: 28 } },
  ]) {
    it(`that is full says so, and is not asked again (${typeof detail})`, async () => {
      await using t = await setUp();
      const body = JSON.stringify({ errors: [{ code: 'UNKNOWN', message: 'unknown error', detail }] });
      t.registry.script({ method: 'PATCH' }, async x => {
        await x.body();
        x.answer(500, {}, body);
      });
      await assert.rejects(t.push(large), {
        code: 'network',
        message: /^127\.0\.0\.1:\d+ has no space left for upload of blob sha256:\w+ in app$/,
      });
      t.assertUntouched();
      assert.deepEqual(t.registries.pauses, []);
    });
  }

  it('that stops reading is given up after the idle time', async () => {
    await using t = await setUp({ idleTimeoutMs: 1000, retry: { attempts: 1 } });
    t.registry.script({ method: 'PATCH' }, () => {});
    await assert.rejects(t.push(randomBytes(40_000_000)), { message: /it stopped answering for 1 s/ });
    t.assertUntouched();
  });
});

describe('a blob that changes while it is sent', () => {
  it('is refused by the registry or noticed here, and no tag is set', async () => {
    await using t = await setUp();
    const descriptor = { mediaType: mediaTypes.ociLayerTar, digest: digestOf(large), size: large.length };
    const broken = (bytes: Buffer) => ({ blobs: [memoryBlob(descriptor, bytes)] });
    await assert.rejects(t.push(large, broken(large.subarray(0, 5000))), {
      code: 'store',
      message: /ended after 5000/,
    });
    await assert.rejects(t.push(large, broken(randomBytes(large.length))), { message: /DIGEST_INVALID/ });
    t.assertUntouched();
  });
});
